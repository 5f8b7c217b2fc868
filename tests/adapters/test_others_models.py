"""TD-MPC2, mbrl-lib, models without a reward and gymnax: each is exact where its stand-in is, and
the faults that are planted in it are named.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np
import pytest

from paracosm import adapters as foreign
from paracosm.auditing.linter import lint
from paracosm.auditing.one_step import predict_steps
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, never
from paracosm.core.policy import Deterministic, Mode, Policy
from paracosm.core.precision import in_double
from paracosm.loop.auditing import audit
from paracosm.real.verbs import evaluate
from tests.adapters import standins
from tests.adapters.standins import SPEC

ADAPTERS = ("tdmpc2", "mbrl", "goal", "gymnax")
FAULTS = {"": (), "late": ("reward timing", "reward argument"), "plus one": ("reward offset",),
          "endless": ("missed terminations",)}  # fmt: skip
EPISODES = 12
PUSH = Deterministic(standins.push)


class Case(NamedTuple):
    world: MDP
    policy: Policy
    episodes: Trajectory


@functools.cache
def recorded(edge=1.0):
    """Real episodes of one policy; with a far edge none of them ends."""
    env = foreign.gymnax(standins.Slide(), standins.SlideParams(edge))
    return evaluate(env, PUSH, episodes=EPISODES)


def tdmpc2(fault):
    cfg = standins.configured(episodic=fault != "endless")
    model = foreign.tdmpc2(standins.SlideModel(cfg, fault), cfg, SPEC)
    inside = model.on(recorded())
    return Case(inside.world, inside.policy, inside.episodes)


def mbrl(fault):
    def ends(action, after):
        return after[:, :1].abs() > 1

    model = standins.SlideTransitions(standins.SlideEnsemble(fault))
    world = foreign.mbrl(
        model, foreign.spec(recorded()), termination=None if fault == "endless" else ends
    )
    return Case(world, PUSH, recorded())


def towards(policy=None):
    model = standins.SlideJepa()
    law = policy or (lambda world: foreign.policy(pushed(model), world.spec, functions="torch"))
    options = {"policy": law, "radius": 0.05}
    return foreign.goal(model.encode, model.predict, np.zeros(2), SPEC, **options)


def pushed(model):
    """The same policy on latent states."""
    import torch

    def act(z):
        x, v = (z @ torch.linalg.pinv(model.turn.detach()).to(z)).T
        return (0.6 * torch.sin(4 * v) + 0.3 * x)[:, None]

    return act


def goal(fault):
    world, policy, episodes, note = towards().on(recorded(1.0 if fault == "endless" else 1e9))
    assert "distance to the goal" in note
    target = world.reward
    if fault == "late":
        world = world.replace(reward=lambda s, a, after: target(s, a, s))
    if fault == "plus one":
        world = world.replace(reward=lambda s, a, after: target(s, a, after) + 1)
    return Case(world.replace(termination=never) if fault == "endless" else world, policy, episodes)


def gymnax(fault):
    parts = {
        "late": {"reward": lambda s, a, after: standins.paid(s[0], s[1])},
        "plus one": {"reward": lambda s, a, after: standins.paid(after[0], after[1]) + 1},
        "endless": {"termination": never},
    }
    return Case(standins.exact(**parts.get(fault, {})), PUSH, recorded())


def cased(adapter, fault):
    return globals()[adapter](fault)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_planted_faults_are_named_and_nothing_else_is(adapter, fault):
    world, policy, episodes = cased(adapter, fault)
    key = jax.random.key(0)
    with jax.enable_x64(True):
        world, policy, episodes = in_double((world, policy, jax.tree.map(np.asarray, episodes)))
        predictions = predict_steps(world, Mode(policy), episodes, key)
        findings = lint(world, episodes, predictions, key)
    kinds = {finding.kind for finding in findings}
    assert kinds <= set(FAULTS[fault])
    assert bool(kinds) == bool(fault)


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_audits_blame_the_part_that_a_fault_is_in(adapter, fault):
    world, policy, episodes = cased(adapter, fault)
    diagnosis = audit(world, policy, episodes, certify=False, dimensions=False)
    sizes = {part: abs(getattr(diagnosis.gap, part).mean) for part in ("reward", "termination")}
    assert diagnosis.closure < 1e-6
    assert abs(diagnosis.gap.dynamics.mean) < 1e-3
    expected = {"": None, "endless": "termination"}.get(fault, "reward")
    for part, size in sizes.items():
        assert (size > 1e-2) == (part == expected), (part, size)
