"""Parts whose Lipschitz constant is held: what the audit certifies, what slopes show, what it
costs.
"""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.lipschitz import eclipse, readers
from paracosm.core import checks
from paracosm.core.mdp import Discrete
from paracosm.core.precision import in_double
from paracosm.core.storage import blank, describe
from paracosm.learning import lipschitz_control
from paracosm.learning.learn import LearnSettings, learn
from paracosm.learning.lipschitz_control import (
    LipschitzDynamics,
    LipschitzReward,
    schatten,
)
from paracosm.learning.parts import CappedDynamics, Constant, LearnedReward
from paracosm.learning.settings import FitSettings
from paracosm.real.verbs import connect
from tests.core.test_layers import SPEC, members
from tests.extending.carts import Carts

SETTINGS = LearnSettings(fit=FitSettings(members=3, width=8, most_epochs=20))
ARGUMENTS = {"dynamics": ("state", "action"), "reward": ("state", "action", "next")}


@pytest.fixture(scope="module")
def bought():
    source = connect(Carts())
    data = source.collect(200, seed=0)
    return data, source.spec(data)


def held(bought, dynamics, reward, settings=SETTINGS):
    parts = {
        "dynamics": LipschitzDynamics(dynamics, settings),
        "reward": LipschitzReward(reward, settings),
    }
    return learn(*bought, parts=parts)


@pytest.fixture(scope="module", params=[0.5, 1.0, 1.3])
def tight(request, bought):
    """A world at ℓ, of dynamics and reward, that the data would have steeper."""
    return held(bought, request.param, request.param), request.param


def certified(world, part):
    """The largest bound by argument that the audit proves of a part."""
    network = {"dynamics": readers.scaled_dynamics, "reward": readers.scaled_reward}[part](world)
    size, bounds, first = world.spec.state_size, [], 0
    for argument in ARGUMENTS[part]:
        end = first + (world.spec.action.size if argument == "action" else size)
        bounds.append(eclipse.upper(network, columns=(first, end)))
        first = end
    return max(bounds)


@pytest.mark.parametrize("part", ["dynamics", "reward"])
def test_the_audit_certifies_no_more_than_is_held_and_the_bound_is_used(tight, part):
    learned, constant = tight
    assert 0.8 * constant < certified(learned.world, part) <= constant * (1 + 1e-6)


def slopes(world, rows=2000):
    """Of random pairs, near and far, in scaled states, the largest by part."""
    rng, scale = np.random.default_rng(0), np.asarray(world.spec.state_scale, np.float64)
    apart = 10 ** rng.uniform(-3, 1, size=(rows, 1))
    state, action, after = (rng.normal(size=(rows, n)) for n in (2, 1, 2))
    moves = [apart * rng.normal(size=x.shape) for x in (state, action, after)]
    with jax.enable_x64(True):
        dynamics, reward = in_double((world.dynamics, world.reward))
        move = jax.vmap(lambda s, a, t: dynamics(s * scale, a, jax.random.key(0)) / scale)
        pay = jax.vmap(lambda s, a, t: reward(s * scale, a, t * scale)[None])
        largest = {}
        for name, function in {"dynamics": move, "reward": pay}.items():
            plain, steepest = np.asarray(function(state, action, after)), 0.0
            for i, by in enumerate(moves):
                moved = [x + (by if i == j else 0) for j, x in enumerate((state, action, after))]
                change = np.linalg.norm(np.asarray(function(*moved)) - plain, axis=1)
                steepest = max(steepest, np.max(change / np.linalg.norm(by, axis=1)))
            largest[name] = steepest
    return largest


def test_no_slope_exceeds_what_is_held(tight):
    learned, constant = tight
    for part, slope in slopes(learned.world).items():
        assert 0.3 * constant < slope <= constant * (1 + 1e-9), part


@pytest.mark.parametrize("seed", range(4))
def test_no_slope_of_a_random_network_exceeds_what_is_held(seed):
    """Steep networks beside random linear maps, on random rows: Jacobians in the units of the
    norm.
    """
    rng, constant = np.random.default_rng(seed), 10 ** np.random.default_rng(seed).uniform(-1, 1)
    arguments = lipschitz_control._Arguments.of(SPEC, "state", "action")
    networks = jax.tree.map(lambda x: x[:1], members(5, 3, jax.random.key(seed)))
    steep = tuple(4 * weight for weight in networks.weights)
    networks = eqx.tree_at(lambda n: n.weights, networks, steep)
    linear, outward = rng.normal(size=(1, 3, 5)).astype(np.float32), rng.uniform(0.1, 3, 3)
    untrained = arguments.cap(networks, linear, outward, constant)
    drawn_back = lipschitz_control._draw_back(untrained)
    single = in_double(jax.tree.map(lambda leaf: leaf[0], drawn_back))
    with jax.enable_x64(True):
        center, scale = np.asarray(single.network.center), np.asarray(single.network.scale)
        with_identity = lambda x: single(x) + single.identity @ ((x - center) / scale)  # noqa: E731
        rows = center + 3 * scale * rng.normal(size=(400, 5))
        slopes = np.asarray(jax.vmap(jax.jacfwd(with_identity))(rows))
    slopes = outward[:, None] * slopes * arguments.units
    by_argument = [
        np.linalg.norm(slopes[..., a:b], 2, axis=(1, 2)).max() for a, b in drawn_back.ends
    ]
    assert drawn_back.ends == ((0, 3), (3, 5))
    assert 0.05 * constant < max(by_argument) <= constant * (1 + 1e-6)
    assert np.isinf(drawn_back.cap).all()


def test_a_part_computes_what_its_layers_say(tight):
    world = tight[0].world
    assert isinstance(world.dynamics, CappedDynamics)
    assert isinstance(world.reward, LearnedReward)
    state, action = np.random.default_rng(0).normal(size=(20, 3))[:, :2], np.ones((20, 1))
    network, key = world.dynamics.as_layers(world.spec), jax.random.key(0)
    with jax.enable_x64(True):
        dynamics = in_double(world.dynamics)
        expected = jax.vmap(lambda s, a: dynamics(s, a, key))(state, action)
        by_layers = jax.vmap(network)(np.concatenate([state, action], axis=1))
        np.testing.assert_allclose(by_layers, expected, rtol=1e-10, atol=1e-10)


def test_a_held_part_is_stored_and_comes_back(tight, tmp_path):
    dynamics, file = tight[0].world.dynamics, tmp_path / "dynamics.eqx"
    tree = json.loads(json.dumps(describe(dynamics), allow_nan=False))
    eqx.tree_serialise_leaves(file, dynamics)
    assert eqx.tree_equal(eqx.tree_deserialise_leaves(file, blank(tree)), dynamics)


FREE = LearnSettings(fit=FitSettings(members=1, width=16, most_epochs=60))


@pytest.mark.full
def test_a_large_constant_costs_nothing(bought):
    """Beside the ensemble of one member, which draws the same weights and rows."""
    plain, free = learn(*bought, settings=FREE), held(bought, 1e3, 1e3, FREE)
    assert free.fits["reward"].error.mean == pytest.approx(
        plain.fits["reward"].error.mean, rel=1e-3
    )
    ours, theirs = (learned.fits["dynamics"].error.mean for learned in (free, plain))
    assert ours < 1.1 * theirs
    assert ours < 0.1 * plain.fits["dynamics"].baseline


def test_the_error_that_is_told_is_that_of_the_part(bought, tight):
    """Both on rows that need not be the held-out ones: of one size."""
    data, spec = bought
    rows, world = data.transitions, tight[0].world
    move = jax.vmap(lambda s, a: world.dynamics(s, a, jax.random.key(0)))
    off = (np.asarray(move(rows.state, rows.action)) - rows.next_state) / spec.state_scale
    measured = np.sqrt(np.mean(np.sum(off**2, axis=1)))
    assert 0.5 < measured / tight[0].fits["dynamics"].error.mean < 2


def test_a_smaller_constant_has_a_larger_error(bought):
    errors = [held(bought, constant, constant).fits for constant in (0.3, 1.0, 4.0)]
    for part in ("dynamics", "reward"):
        small, middle, large = (fits[part].error.mean for fits in errors)
        assert small > middle > large, part


@pytest.mark.parametrize("size", [(6, 3), (3, 40), (40, 40)])
def test_a_schatten_norm_is_a_little_above_the_spectral_one(size):
    for seed in range(5):
        matrix = np.random.default_rng(seed).normal(size=size).astype(np.float32)
        exact = np.linalg.norm(matrix, 2)
        assert exact * (1 - 1e-6) <= schatten(matrix, matrix) <= 1.03 * exact
    zero = np.zeros(size, np.float32)
    assert schatten(zero, zero) < 1e-10


def test_its_gradient_is_that_of_the_largest_singular_value():
    matrix = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    matrix[0] += 5
    slope = jax.grad(lambda m: schatten(m, m))(matrix)
    left, _, right = np.linalg.svd(matrix)
    np.testing.assert_allclose(slope, np.outer(left[:, 0], right[0]), atol=1e-3)
    step = np.outer(left[:, 0], right[0]).astype(np.float32) * 1e-2
    difference = (schatten(matrix + step, matrix) - schatten(matrix - step, matrix)) / 2e-2
    assert float(difference) == pytest.approx(float(np.sum(slope * step)) / 1e-2, rel=1e-2)


@pytest.mark.full
def test_a_choice_among_actions_is_not_held_and_everything_else_is(bought):
    data, spec = bought
    choice = np.asarray(data.action[:, 0] > 0, np.int32)
    data, spec = (
        dataclasses.replace(data, action=choice),
        dataclasses.replace(spec, action=Discrete(2)),
    )
    world = held((data, spec), 0.7, 0.7).world
    network = readers.scaled_dynamics(world)
    assert eclipse.upper(network, columns=(0, 2)) <= 0.7 * (1 + 1e-6)
    assert world.dynamics(jnp.ones(2), jnp.int32(1), jax.random.key(0)).shape == (2,)


def test_a_reward_that_never_varies_is_a_constant(bought):
    data, spec = bought
    same_reward = dataclasses.replace(data, reward=np.ones_like(data.reward))
    assert isinstance(held((same_reward, spec), 1.0, 1.0).world.reward, Constant)


@pytest.mark.parametrize("constant", [0.0, -1.0, float("nan"), float("inf")])
def test_a_constant_that_holds_nothing_is_refused(constant):
    for kind in (LipschitzDynamics, LipschitzReward):
        with pytest.raises(checks.BadArgument, match="constant is"):
            kind(constant)
