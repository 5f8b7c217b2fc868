"""E10: orders counted by hand, an error that swaps two policies, and verdicts that turn with the
answers.
"""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.ranking import ranking
from paracosm.core.policy import Deterministic
from paracosm.paper import e10, e10_cells, e10_orders, e10_worlds
from paracosm.paper.e10_cells import DIRECTIONS, HORIZONS, KNOWN, SETS, OrderSizes
from paracosm.paper.e10_numbers import orders
from paracosm.paper.study import Answer
from paracosm.real.systems import Linear, Smooth, linear_quadratic

SMALL = OrderSizes(trained=2, checkpoints=2, steps=2, errors=(0.05,))


class Constant(eqx.Module):
    """The same action everywhere."""

    action: jax.Array

    def __call__(self, state):
        return self.action


def column(*returns):
    """Returns of policies as `[policy, horizon]` of one horizon."""
    return np.array(returns, float)[:, None]


def test_pairs_are_counted_by_hand():
    """Of 1 < 2 < 3 < 3 the imagined 1, 3, 2, 5 invert the pair (2, 3) alone; equals are inverted by
    nothing.
    """
    real, imagined = column(1, 2, 3, 3), column(1, 3, 2, 5)
    assert e10_orders.inverted(real, imagined)[:, 0].tolist() == [False] * 3 + [True] + [False] * 2
    assert e10_orders.tau(real, imagined) == pytest.approx((4 - 1) / 6)
    assert e10_orders.regret(real, imagined) == 0
    assert e10_orders.regret(real[:3], imagined[:3]) == 1


def test_the_safe_horizon_ends_before_the_first_inversion():
    """The pair that is inverted at the second horizon only ends it as one inverted from there."""
    flags = np.array([[[0, 1, 0]], [[0, 0, 1]], [[0, 0, 0]], [[1, 0, 0]]], bool)
    assert e10_orders.safe_horizon(flags, (1, 2, 5)).tolist() == [1, 2, 5, 0]


def test_what_a_score_tells_is_the_chance_that_it_orders():
    flags = np.array([True, True, False, False])
    assert e10_orders.area(np.array([1.0, 3.0, 2.0, 4.0]), flags) == 0.75
    assert e10_orders.area(np.ones(4), flags) == 0.5
    assert np.isnan(e10_orders.area(np.ones(4), ~flags | flags))


def test_orders_are_those_of_the_ranking_of_sampled_episodes():
    """On the same returns its centres are our numbers."""
    random = np.random.default_rng(0)
    real, imagined = random.normal(size=(2, 6, 3, 1))
    names = [f"policy {k}" for k in range(6)]
    ranked = ranking(names, list(real), list(imagined), horizons=(1,))
    pair = real.mean(axis=1), imagined.mean(axis=1)
    assert ranked.flips.mean == pytest.approx(e10_orders.inverted(*pair).mean())
    assert ranked.tau.mean == pytest.approx(float(e10_orders.tau(*pair)[0]))
    assert ranked.regret.mean == pytest.approx(float(e10_orders.regret(*pair)[0]))


def test_a_planted_error_that_swaps_two_policies_is_counted():
    """A drift of -0.3 that only the world has makes it prefer the action 0.3 that undoes it, where
    in reality the smaller action -0.2 is better.
    """
    real = linear_quadratic(jax.random.key(0), state_size=1, action_size=1, discount=1.0)[0]
    unit = jnp.ones((1, 1))
    drift = Smooth(0 * unit, 0 * unit, jnp.array([-20.0]), unit, 1.0, "tanh")
    wrong = e10_worlds.WrongDynamics(
        Linear(0.5 * unit, unit, jnp.zeros(1)),
        e10_worlds.PlantedError(drift, jnp.array(0.3)),
        real.spec,
    )
    stacked = e10_worlds.repeated(real.replace(dynamics=wrong), 1)
    policies = Deterministic(Constant(jnp.array([[[0.3], [-0.2]]])))
    starts = jnp.array([[1.0], [-1.0]])
    systems = stacked, e10_worlds.without_error(stacked)
    imagined, truth = (
        np.asarray(e10_cells._play()(system, stacked, policies, starts, False)["returns"])
        for system in systems
    )
    flags = e10_orders.inverted(truth, imagined)[0, 0]
    assert flags.tolist() == [False] + [True] * (len(HORIZONS) - 1)


@pytest.mark.parametrize(
    "system",
    ["tanh", *(pytest.param(s, marks=pytest.mark.full) for s in ("linear-quadratic", "pendulum"))],
)
def test_a_cell_keeps_what_is_proved(system):
    """Without an error no pair is inverted, and with one no bound is exceeded."""
    sizes = json.loads(json.dumps(dataclasses.asdict(SMALL)))
    result = e10_cells.planted(system=system, seed=0, sizes=sizes)
    (of_system,) = orders([Answer("", {"system": system, "seed": 0, "sizes": sizes}, result)])
    for kind in SETS:
        assert not of_system.inverted[kind][:, :, 0].any()
        assert np.ptp(of_system.real[kind][..., -1]) > 0
    assert np.any(of_system.real["own"] != of_system.imagined["own"])
    assert np.all(of_system.rms[:, :, 1] <= 0.05)
    assert np.all(of_system.rms[:, :, 1] > 0.01)
    assert bool(of_system.bounds) is KNOWN[system]
    for rung in of_system.bounds:
        assert of_system.beyond_bound(rung)[0] == 0
        wrong, certified = of_system.wrongly_certified(rung)
        assert wrong == 0 < certified


def result(random, sizes):
    """Returns that errors shift with error and horizon; own ones lie the closest together."""
    count, steps = sizes.policies, np.array(HORIZONS)
    errors = np.tile((0.0, *sizes.errors), DIRECTIONS)[:, None, None]
    real, imagined = {}, {}
    for kind in SETS:
        spread = {"drawn": 10.0, "own": 0.1, "other": 3.0}.get(kind, 1.0)
        quality = spread * random.normal(size=(1, count, 1)) - (50 if kind == "drawn" else 0)
        real[kind] = np.broadcast_to(quality * steps, (len(errors), count, len(steps)))
        noise = random.normal(size=(len(errors), count, 1))
        imagined[kind] = real[kind] + 10 * errors * noise * (steps - 1) * np.sqrt(steps)
    bound = {kind: 2 * np.abs(real[kind] - imagined[kind]) for kind in SETS}
    listed = lambda columns: {kind: array.tolist() for kind, array in columns.items()}  # noqa: E731
    return {
        "real": listed(real),
        "imagined": listed(imagined),
        "bounds": {rung: listed(bound) for rung in e10_cells.RUNGS},
        "rms": errors[:, 0, 0].tolist(),
    }


def answers(change=lambda result: result):
    random, sizes = np.random.default_rng(0), OrderSizes(trained=4, checkpoints=2)
    arguments = {"sizes": dataclasses.asdict(sizes)}
    return [
        Answer("", arguments | {"system": system, "seed": seed}, change(result(random, sizes)))
        for system in KNOWN
        for seed in range(5)
    ]


def claims(change):
    return {claim.id: claim for claim in e10.read(answers(change)).claims}


@pytest.fixture(scope="module")
def findings():
    """Of the answers as they are made."""
    return e10.read(answers())


@pytest.fixture(scope="module")
def by_id(findings):
    return {claim.id: claim for claim in findings.claims}


def test_what_is_made_so_is_found(by_id):
    """Shares that rise with horizon and error, and own policies that lie closer together."""
    for system in KNOWN:
        assert by_id[f"horizon_{system}"].low > 0
        assert 0.5 < by_id[f"error_{system}"].ours < 1.2
        assert by_id[f"own_{system}"].low > 0
        assert by_id[f"tells_{system}"].low > 0.7
    assert by_id["exploitable"].ours > 0.9


def test_policies_that_their_own_world_orders_no_worse_are_not_called_exploited():
    def alike(result):
        return result | {
            side: {**result[side], "own": result[side]["other"]} for side in ("real", "imagined")
        }

    for claim in (claims(alike)[f"own_{system}"] for system in KNOWN):
        assert (claim.ours, claim.low, claim.high) == (0, 0, 0)
        assert "not surely" in claim.why


def _swapped(result, world, horizon):
    """The first two drawn policies of a world as it would have them at a horizon: inverted."""
    imagined, place = np.array(result["imagined"]["drawn"]), HORIZONS.index(horizon)
    imagined[world, :2, place] = imagined[world, 1::-1, place]
    return result | {"imagined": {**result["imagined"], "drawn": imagined.tolist()}}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("without_error", lambda r: _swapped(r, 0, 1)),
        ("first_step", lambda r: _swapped(r, 1, 1)),
        ("violations", lambda r: _swapped(r, 1, 2)),
        ("wrong_certificates", lambda r: _swapped(r, 1, 2)),
    ],
)
def test_a_check_that_fails_differs(by_id, name, change):
    assert by_id[name].verdict == "must hold"
    assert claims(change)[name].verdict == "differs"


def test_checks_that_cannot_fail_are_not_counted(by_id):
    """At horizon 1, and in a world without an error, there is neither a gap nor a bound."""
    (of_system, *_), seeds, policies = orders(answers()), 5, 3 * 8
    worlds = seeds * DIRECTIONS * len(e10_cells.ERRORS)
    horizons = len(HORIZONS) - 1
    assert of_system.beyond_bound("along")[1] == worlds * policies * horizons
    wrong, certified = of_system.wrongly_certified("along")
    assert wrong == 0 < certified < worlds * policies * (policies - 1) // 2 * horizons
    assert certified == of_system.certified("along")[..., 1:].sum()
    assert "wrong worlds × horizons from 2 × rungs" in by_id["violations"].why
    assert "wrong worlds × horizons from 2 × rungs" in by_id["wrong_certificates"].why


def test_weights_and_starts_are_said_to_be_shared_between_worlds_alone(findings):
    assert any("the same starts in every world" in sentence for sentence in findings.setup)


def test_what_is_shown_has_every_system_and_error(findings):
    rows = len(KNOWN) * len(e10_cells.ERRORS)
    assert [len(table.rows) for table in findings.tables] == [rows] * 4
    assert len({chart.name for chart in findings.charts}) == len(findings.charts) == 8
    assert "Are policies inverted more often by the world" in findings.found


def test_errors_that_invert_no_pair_leave_their_power_open():
    of_exact = e10.read(answers(lambda result: result | {"imagined": result["real"]}))
    power = {claim.id: claim for claim in of_exact.claims}["error_tanh"]
    assert (power.low, power.high) == (-np.inf, np.inf)
    assert "nan" not in of_exact.found.lower()
