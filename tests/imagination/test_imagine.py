"""Training in imagination: what it improves, when it stops, what it never does."""

import dataclasses
import json
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm import foreign
from paracosm.core import checks
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.policy import Deterministic, Mode
from paracosm.core.records.stop_reason import StopReason
from paracosm.core.rollout import returns, rollout
from paracosm.imagination.evaluation import EPISODES
from paracosm.imagination.imagine import Imagined, ImagineSettings, imagine
from paracosm.imagination.reinforce import UNIT_ROLLOUTS
from paracosm.imagination.stop_rule import Snapshot, StopNumbers, TrainingStore
from paracosm.learning.fit import FitSettings
from paracosm.learning.learn import LearnSettings, learn
from paracosm.real.verbs import connect
from tests.imagination.imagining import imagine_in

HORIZON = 12
SMALL = ImagineSettings(
    rollouts=64,
    horizon=6,
    rates=(2e-2, 5e-3),
    check=5,
    patience=3,
    most_steps=200,
    width=8,
    depth=1,
)
SPEC = Spec(1, Box(jnp.array([-1.0]), jnp.array([1.0])), jnp.ones(1), HORIZON)


def integrator(**parts) -> MDP:
    """`s' = s + 0.5 a`, rewarded for being near 0 and for acting little: the best policy is nearly
    linear.
    """
    world = MDP(
        spec=SPEC,
        dynamics=lambda s, a, key: s + 0.5 * a,
        reward=lambda s, a, t: -(s[0] ** 2) - 0.01 * a[0] ** 2,
        termination=never,
        initial=lambda key: jax.random.uniform(key, (1,), minval=-1.0),
        discount=0.9,
    )
    return world.replace(**parts)


RANDOM = np.random.default_rng(0)
INITIAL, VISITED = (RANDOM.uniform(-1, 1, (n, 1)).astype(np.float32) for n in (20, 100))
KEYS = jax.random.split(jax.random.key(0), len(INITIAL))


def mean_return(world: MDP, policy) -> float:
    return float(np.mean(returns(rollout(world, policy, INITIAL, KEYS, HORIZON).reward, 1.0)))


@pytest.fixture(scope="module")
def trained() -> Imagined:
    return imagine_in(integrator(), INITIAL, VISITED, settings=SMALL)


def test_training_finds_a_policy_nearly_as_good_as_the_best_linear_one(trained):
    linear = [
        mean_return(integrator(), Deterministic(lambda s, k=k: jnp.clip(-k * s, -1, 1)))
        for k in (1.0, 1.5, 2.0)
    ]
    nothing = mean_return(integrator(), Deterministic(lambda s: 0 * s))
    policy_return = mean_return(integrator(), Mode(trained.policy))
    assert policy_return > max(linear) + 0.1 * (nothing - max(linear))


def test_training_stops_on_a_plateau_and_says_so(trained):
    training = trained.training
    assert training.step[-1] < SMALL.most_steps
    assert training.stop == "no better imagined return in 15 gradient steps at the lowest rate"
    assert training.step == tuple(range(5, training.step[-1] + 1, 5))
    assert len(training.imagined_return) == len(training.entropy) == len(training.step)


def test_every_imagined_step_is_counted(trained):
    steps = trained.training.step
    expected = steps[-1] * 64 * 6 + len(steps) * 2 * EPISODES * HORIZON + UNIT_ROLLOUTS * 6
    assert trained.training.imagined_steps == expected
    assert (trained.training.horizon, trained.training.weighting, trained.training.baseline) == (
        6,
        "plain",
        "value",
    )


def test_the_same_seed_trains_the_same_policy_and_another_round_another(trained):
    again = imagine_in(integrator(), INITIAL, VISITED, settings=SMALL)
    next_round = imagine_in(integrator(), INITIAL, VISITED, settings=SMALL, round=1)
    assert again.training == trained.training
    for a, b in zip(jax.tree.leaves(again.policy), jax.tree.leaves(trained.policy), strict=True):
        np.testing.assert_array_equal(a, b)
    assert next_round.training.imagined_return != trained.training.imagined_return


def test_64_bits_train_the_same_policy(trained):
    with jax.enable_x64(True):
        again = imagine_in(integrator(), INITIAL, VISITED, settings=SMALL)
    assert again.training == trained.training


def test_training_goes_on_from_a_policy_and_keeps_the_best(trained):
    reports: list[tuple[int, int, dict[str, float]]] = []
    settings = dataclasses.replace(SMALL, most_steps=5)
    further = imagine_in(
        integrator(),
        INITIAL,
        VISITED,
        policy=trained.policy,
        settings=settings,
        progress=lambda *a: reports.append(a),
    )
    assert (
        mean_return(integrator(), Mode(further.policy))
        > mean_return(integrator(), Mode(trained.policy)) - 0.3
    )
    assert further.training.stop == "5 gradient steps, the most allowed"
    assert [(steps, most) for steps, most, _ in reports] == [(5, 5)]
    assert reports[0][2] == {
        "imagined_return": further.training.imagined_return[0],
        "edge_share": pytest.approx(further.training.edge_share, rel=1e-6),
        "labels": 0,
        "imagined_steps": 64 * 6 + UNIT_ROLLOUTS * 6 / 5,
    }


def test_the_value_knows_what_is_to_come(trained):
    """Of an endless episode, which is what rollouts completed by a value are windows onto."""
    long = rollout(integrator(), Mode(trained.policy), INITIAL, KEYS, 60)
    truth = np.asarray(returns(long.reward, 0.9))
    values = np.asarray(jax.vmap(trained.value, (0, None))(jnp.asarray(INITIAL), jnp.zeros(())))
    assert np.corrcoef(truth, values)[0, 1] > 0.9


def assert_trains(world: MDP, idle, settings: ImagineSettings) -> None:
    """From the return of doing nothing, most of the way to 0, which no return exceeds."""
    imagined = imagine_in(world, INITIAL, VISITED, settings=settings)
    assert mean_return(world, Mode(imagined.policy)) > 0.6 * mean_return(world, Deterministic(idle))


def test_leave_one_out_trains_too():
    """With the returns that the learned value completes; whole episodes, in the weighting of the
    true gradient.
    """
    choice = {
        "baseline": "leave-one-out",
        "horizon": HORIZON,
        "weighting": "discounted",
        "squash": True,
    }
    assert_trains(
        integrator(), lambda s: 0 * s, dataclasses.replace(SMALL, most_steps=50, **choice)
    )


@pytest.mark.full
@pytest.mark.parametrize("baseline", ["leave-one-out", "value", "none"])
@pytest.mark.parametrize("weighting", ["discounted", "plain"])
@pytest.mark.parametrize("horizon", [6, HORIZON])
def test_every_combination_trains(baseline, weighting, horizon):
    settings = dataclasses.replace(SMALL, baseline=baseline, weighting=weighting, horizon=horizon)
    assert_trains(integrator(), lambda s: 0 * s, settings)


def test_discrete_actions():
    world = integrator(
        spec=Spec(1, Discrete(3), jnp.ones(1), HORIZON),
        dynamics=lambda s, a, key: s + 0.25 * (a - 1),
        reward=lambda s, a, t: -(s[0] ** 2),
    )
    assert_trains(world, lambda s: jnp.ones((), int), dataclasses.replace(SMALL, most_steps=50))


def test_more_data_do_not_compile_anything_again():
    traced = []

    def dynamics(s, a, key):
        traced.append(1)
        return s + 0.5 * a

    world, settings = integrator(dynamics=dynamics), dataclasses.replace(SMALL, most_steps=5)
    imagine_in(world, INITIAL, VISITED, settings=settings)
    before = len(traced)
    more = RANDOM.uniform(-1, 1, (7000, 1)).astype(np.float32)
    imagine_in(world, more[:300], more, settings=settings, round=1)
    assert before
    assert len(traced) == before


def test_the_real_environment_is_never_stepped():
    """Its source counts every step, and imagination is given nothing that could reach it."""
    source = connect("CartPole-v1")
    data = source.collect(300, seed=0)
    quick = LearnSettings(FitSettings(members=1, width=8, depth=1, most_epochs=1))
    learned = learn(data, source.spec(data), seed=0, settings=quick)
    steps = source.steps
    assert steps == 300
    imagine(learned, data, settings=dataclasses.replace(SMALL, most_steps=10))
    assert source.steps == steps


def test_a_world_without_states_to_start_in_is_refused():
    with pytest.raises(checks.BadData, match="no visited states"):
        imagine_in(integrator(), INITIAL, VISITED[:0], settings=SMALL)


# Devices.

TRAIN = """
import dataclasses, json, jax, numpy as np
from tests.imagination.test_imagine import INITIAL, VISITED, SMALL, integrator, imagine_in
from tests.imagination.test_policy_gradient import STARTS, chain, flat, keys_of, policy_gradient
gradient = policy_gradient(chain.CHAIN, chain.POLICY, STARTS, keys_of(0), horizon=3)
settings = dataclasses.replace(SMALL, most_steps=5)
training = imagine_in(integrator(), INITIAL, VISITED, settings=settings).training
print(json.dumps([jax.local_device_count(), flat(gradient).tolist(), training.imagined_return]))
"""


@pytest.mark.full
def test_the_number_of_devices_changes_rounding_only():
    on_one, on_two = (_on_devices(count) for count in (1, 2))
    assert (on_one[0], on_two[0]) == (1, 2)
    np.testing.assert_allclose(on_one[1], on_two[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(on_one[2], on_two[2], rtol=1e-3)


def _on_devices(count: int, program: str = TRAIN) -> list:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    environment = {**os.environ, "XLA_FLAGS": flags}
    process = subprocess.run(
        [sys.executable, "-c", program], check=True, env=environment, capture_output=True, text=True
    )
    return json.loads(process.stdout)


class _Killed(Exception):
    """The program ends."""


class _Memory(TrainingStore):
    """Keeps every snapshot, as JSON and states, and kills the program after so many."""

    def __init__(self, most: int) -> None:
        self.most, self.snapshots = most, []

    def keep(self, snapshot: Snapshot) -> None:
        numbers = StopNumbers.from_json(snapshot.numbers.to_json())
        self.snapshots.append(snapshot._replace(numbers=numbers))
        if len(self.snapshots) == self.most:
            raise _Killed

    def load(self, state) -> Snapshot | None:
        return self.snapshots[-1] if self.snapshots else None


@pytest.mark.full
def test_training_killed_after_any_chunk_comes_to_the_same():
    """Through the end of the first rate, where it goes back to its best state, to the last."""
    settings = dataclasses.replace(SMALL, rates=(5e-2, 1e-2), check=2, patience=1, most_steps=40)

    def trained(store: TrainingStore | None = None) -> Imagined:
        return imagine_in(integrator(), INITIAL, VISITED, settings=settings, store=store)

    uninterrupted = trained()
    chunks = len(uninterrupted.training.step)
    assert uninterrupted.training.stop_reason is StopReason.PLATEAU
    assert chunks > 3
    for most in range(1, chunks):
        memory = _Memory(most)
        with pytest.raises(_Killed):
            trained(memory)
        memory.most = 0
        again = trained(memory)
        assert len(memory.snapshots) == chunks - 1, "no chunk is trained twice"
        assert again.training == uninterrupted.training
        assert eqx.tree_equal(again.policy, uninterrupted.policy)


def test_a_foreign_worlds_complaint_is_its_own():
    def reward(states, actions, after):
        raise ValueError("no reward here")

    world = foreign.world(SPEC, dynamics=lambda s, a: s + 0.5 * a, reward=reward)
    sentence = r"^the NumPy reward failed with ValueError: no reward here"
    with pytest.raises(checks.BadData, match=sentence) as caught:
        imagine_in(world, INITIAL, VISITED, settings=SMALL)
    assert "\n" not in str(caught.value)


def test_states_in_small_units_are_seen_as_in_any_others():
    """In units of a power of two, so that no number is rounded otherwise."""
    unit = 2.0**-21
    small = integrator(
        dynamics=lambda s, a, key: s + 0.5 * unit * a,
        reward=lambda s, a, t: -((s[0] / unit) ** 2) - 0.01 * a[0] ** 2,
        initial=lambda key: unit * jax.random.uniform(key, (1,), minval=-1.0),
    )
    settings = dataclasses.replace(SMALL, most_steps=10)
    expected = imagine_in(integrator(), INITIAL, VISITED, settings=settings)
    imagined = imagine_in(small, unit * INITIAL, unit * VISITED, settings=settings)
    ours, theirs = (one.training.imagined_return for one in (imagined, expected))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_what_cannot_be_told_of_progress_is_refused_with_what_is_told():
    with pytest.raises(checks.BadArgument, match=r"^progress is 3; .*, numbers by name\) is"):
        imagine_in(integrator(), INITIAL, VISITED, settings=SMALL, progress=3)
