"""Worlds with a planted fault, three times as large as any other: the verdict finds it, or does not
claim to.

Each world is wrong in every part; the guilty one's error is doubled until its term, over many
episodes, is at least three times the largest other. What is then judged is an audit of 400 episodes
that were not used for that.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.attribution import attribute
from paracosm.auditing.imagined_returns import imagined_returns
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.subject import AuditSubject
from paracosm.auditing.verdict import culprit
from paracosm.core.networks import MLP
from paracosm.core.precision import in_double
from paracosm.core.records import CAUSES, LEARNED_CAUSES, Training
from paracosm.core.rollout import rollout
from paracosm.imagination.imagine import Imagined
from paracosm.imagination.value import Value
from paracosm.loop.auditing import audit
from tests.auditing.worlds import Shifted, ending

HORIZON, SHORT, MANY, FEW, THRESHOLD = 20, 10, 2000, 400, 0.6
FAULTS = tuple(CAUSES)


class Bonus(eqx.Module):
    """A reward and something on top."""

    part: eqx.Module
    more: jax.Array

    def __call__(self, state, action, next_state):
        return self.part(state, action, next_state) + self.more


class Ending(eqx.Module):
    """The end rule `s'_0 > threshold`, its threshold a number that may change without compiling
    again.
    """

    threshold: jax.Array

    def __call__(self, state, action, next_state):
        return next_state[0] > self.threshold


class Fault:
    """A random system and a world of it whose errors are `sizes`, by cause."""

    def __init__(self, seed: int, guilty: str) -> None:
        self.key, self.guilty = jax.random.key(seed), guilty
        real, _, self.policy = ending(self.key)
        self.real = real.replace(termination=Ending(jnp.array(THRESHOLD)))
        draws = np.random.default_rng(seed)
        self.direction = draws.normal(size=4)
        self.direction[0] = abs(self.direction[0])
        self.signs = draws.choice([-1.0, 1.0], len(FAULTS))
        self.sizes = dict.fromkeys(FAULTS, 0.01)

    def world(self):
        by_cause = {
            cause: sign * self.sizes[cause] for cause, sign in zip(FAULTS, self.signs, strict=True)
        }
        return self.real.replace(
            dynamics=Shifted(
                self.real.dynamics, jnp.asarray(by_cause["dynamics"] * self.direction)
            ),
            reward=Bonus(self.real.reward, jnp.asarray(by_cause["reward"])),
            termination=Ending(jnp.asarray(THRESHOLD + by_cause["termination"])),
        )

    def imagined(self, world, fitted):
        """Training on short rollouts that a constant ends."""
        off = self.signs[FAULTS.index("horizon")] * self.sizes["horizon"]
        value = Value(
            MLP(5, 1, 4, 1, jax.random.key(0), last=0.0), jnp.asarray(fitted + off), jnp.ones(())
        )
        training = Training((), (), (), 0, 0.0, SHORT, "plain", "value", "made up")
        return Imagined(self.policy, value, world, training)

    def episodes(self, count, salt):
        keys = jax.random.split(jax.random.fold_in(self.key, salt), count)
        starts = jax.vmap(self.real.initial)(keys)
        return jax.tree.map(np.asarray, rollout(self.real, self.policy, starts, keys, HORIZON))

    def case(self, count, salt):
        """World, episodes, and training whose value is right on average but for the planted
        error.
        """
        self.real, self.policy = in_double((self.real, self.policy))
        world, episodes = self.world(), self.episodes(count, salt)
        keys = jax.random.split(self.key, count)
        lived = rollout(world, self.policy, jnp.asarray(episodes.state[:, 0]), keys, HORIZON)
        goes_on = np.asarray(lived.alive)[:, SHORT]
        later = np.asarray(lived.reward)[goes_on, SHORT:] @ world.discount ** np.arange(
            HORIZON - SHORT
        )
        return world, episodes, self.imagined(world, np.mean(later) if len(later) else 0.0)

    def sizes_of_terms(self):
        """Over many episodes, by cause."""
        with jax.enable_x64(True):
            world, episodes, trained = self.case(MANY, 1)
            subject = AuditSubject(
                world,
                self.policy,
                episodes,
                predict_steps(world, self.policy, episodes, self.key),
                self.key,
                (world.discount,),
                plays_mode=True,
                training_prediction=trained.prediction,
            )
            imagined, terms = imagined_returns(subject), attribute(subject)
        horizon = abs(np.mean(imagined.full - imagined.predicted))
        return {
            cause: abs(getattr(terms, cause).sum(axis=1).mean()) for cause in LEARNED_CAUSES
        } | {"horizon": horizon}

    def plant(self):
        """Double the guilty part's error until its term is three times any other, if it can be."""
        for _ in range(12):
            sizes = self.sizes_of_terms()
            if sizes.pop(self.guilty) >= 3 * max(sizes.values()):
                return True
            self.sizes[self.guilty] *= 2
        return False

    def gap(self):
        """What an audit of some other episodes finds."""
        with jax.enable_x64(True):
            world, episodes, imagined = self.case(FEW, 2)
        return audit(world, self.policy, episodes, imagined, certify=False).gap_training


def judged(seeds):
    """Of planted faults: how many, named rightly, and rightly or left undetermined."""
    planted = right = fair = 0
    for seed in seeds:
        fault = Fault(seed, FAULTS[seed % len(FAULTS)])
        if not fault.plant():
            continue
        gap = fault.gap()
        named = culprit(gap)
        largest = max(FAULTS, key=lambda cause: abs(getattr(gap, cause).mean))
        undetermined = (
            named is None or largest != named
        )  # the verdict then says that another may weigh more
        planted += 1
        right += named == fault.guilty
        fair += named == fault.guilty or undetermined
    return planted, right, fair


def test_some_planted_faults_are_found():
    assert judged(range(2)) == (2, 2, 2)


@pytest.mark.full
def test_planted_faults_are_found():
    planted, right, fair = judged(range(220))
    assert planted >= 200
    assert right >= 0.95 * planted
    assert fair >= 0.98 * planted
