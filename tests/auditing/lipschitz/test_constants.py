import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm import adapters as foreign
from paracosm.auditing.lipschitz import eclipse
from paracosm.auditing.lipschitz.constants import bracket, brackets, loops
from paracosm.auditing.lipschitz.steepest import lower
from paracosm.core import activations
from paracosm.core.layers import Unreadable, activated, affine, compose
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Categorical, Deterministic, initial_policy
from paracosm.core.precision import in_double
from paracosm.real.systems import Cube, linear_quadratic, lipschitz_synthetic
from tests.core.test_activations import ACTIVATIONS
from tests.core.test_layers import learned

_FIRST = ("tanh", "relu", "gelu", "sin")
BENT = [
    name if name in _FIRST else pytest.param(name, marks=pytest.mark.full)
    for name in ACTIVATIONS
    if name != "identity"
]


def random_network(seed, sizes=(3, 8, 8, 2), activation=activations.TANH, gain=1.5):
    rng, network = np.random.default_rng(seed), None
    for inputs, outputs in itertools.pairwise(sizes):
        layer = affine(
            gain * rng.normal(size=(outputs, inputs)) / np.sqrt(inputs),
            0.5 * rng.normal(size=outputs),
        )
        network = (
            layer if network is None else compose(layer, activated(activation, inputs), network)
        )
    return network


@functools.cache
def _jacobians():
    return eqx.filter_jit(lambda network, points: jax.vmap(jax.jacfwd(network))(points))


def jacobian_norms(network, points):
    with jax.enable_x64(True):
        return np.linalg.norm(np.asarray(_jacobians()(network, points)), 2, axis=(1, 2))


@pytest.mark.parametrize("cases", [200, pytest.param(1000, marks=pytest.mark.full)])
def test_linear_maps_are_never_below_their_norm(cases):
    rng = np.random.default_rng(0)
    for _ in range(cases):
        rows, columns = rng.integers(1, 5, size=2)
        matrix = 10 ** rng.uniform(-6, 6) * rng.normal(size=(rows, columns))
        upper = eclipse.upper(affine(matrix))
        exact = np.linalg.svd(matrix, compute_uv=False)[0]
        assert exact <= upper <= exact * (1 + 1e-12)


@pytest.mark.parametrize("cases", [20, pytest.param(1000, marks=pytest.mark.full)])
def test_linear_maps_through_neurons_of_slope_1(cases):
    for seed in range(cases):
        network = random_network(seed, activation=activations.IDENTITY)
        exact = np.linalg.norm(np.linalg.multi_dot(network.weights[::-1]), 2)
        assert exact <= eclipse.upper(network) <= 1.001 * exact


@pytest.mark.parametrize("name", BENT)
def test_random_networks_keep_inside_their_bracket(name):
    for seed in range(20):
        network = random_network(seed, activation=ACTIVATIONS[name])
        points = 2 * np.random.default_rng(seed).normal(size=(200, 3))
        upper, sampled = eclipse.upper(network), jacobian_norms(network, points).max()
        product = np.prod([np.linalg.norm(w, 2) for w in network.weights])
        steepest = max(map(abs, _everywhere(ACTIVATIONS[name])))
        assert 0 < sampled <= upper <= product * steepest**2 * (1 + 1e-9)


def _everywhere(activation):
    with jax.enable_x64(True):
        return [float(end[0]) for end in activation.slopes(jnp.array([-1e30]), jnp.array([1e30]))]


def zero_one_recursion(weights, steps):
    """The recursion for slopes in [0, 1] as theory writes it, with `Λ_i = steps_i I`."""
    form = np.eye(weights[0].shape[1])
    for weight, step in zip(weights[:-1], steps, strict=True):
        form = step * np.eye(len(weight)) - step**2 / 4 * weight @ np.linalg.solve(form, weight.T)
    return np.sqrt(np.linalg.eigvalsh(weights[-1] @ np.linalg.solve(form, weights[-1].T))[-1])


def test_general_recursion_is_the_zero_one_recursion_where_slopes_lie_there():
    for seed in range(5):
        weights, steps = random_network(seed).weights, (0.05, 0.01)
        slopes = tuple((np.zeros(8), np.ones(8)) for _ in steps)
        logs = tuple(np.full(8, np.log(step)) for step in steps)
        with jax.enable_x64(True):
            certified = eclipse._certified(weights, slopes, logs)
            start = eclipse._start(weights, slopes)
        np.testing.assert_allclose(certified, zero_one_recursion(weights, steps), rtol=1e-9)
        first = 2 / np.linalg.norm(weights[0], 2) ** 2  # theory's start
        np.testing.assert_allclose(np.exp(start[0]), first, rtol=0.02)


def test_zero_one_recursion_is_violated_by_silu():
    """One wide hidden layer whose neurons all reach their steepest slope at the same input."""
    violated = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first, direction = rng.normal(size=(16, 3)), rng.normal(size=3)
        bias = 2.3993572805 - first @ direction
        network = compose(affine(first.T), activated(activations.SILU, 16), affine(first, bias))
        wrong = zero_one_recursion(network.weights, (2 / np.linalg.norm(first, 2) ** 2,))
        norm = jacobian_norms(network, direction[None])[0]
        violated += bool(norm > wrong)
        assert norm <= eclipse.upper(network)
    assert violated == 20


@pytest.mark.parametrize("name", BENT)
def test_constants_over_balls_and_boxes_hold_there(name):
    with jax.enable_x64(True):
        over = eqx.filter_jit(
            lambda network, centre, radius: eclipse.local(network, eclipse.ball(centre, radius))
        )
        for seed in range(10):
            network, rng = (
                random_network(seed, activation=ACTIVATIONS[name]),
                np.random.default_rng(seed),
            )
            centre, radius = rng.normal(size=3), 10 ** rng.uniform(-3, 0.5)
            directions = rng.normal(size=(300, 3))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            inside = centre + radius * rng.uniform(size=(300, 1)) ** (1 / 3) * directions
            pairs = np.asarray(jax.vmap(network)(inside))
            apart = np.linalg.norm(pairs[1:] - pairs[:-1], axis=1) / np.linalg.norm(
                np.diff(inside, axis=0), axis=1
            )
            sampled = max(jacobian_norms(network, inside).max(), apart.max())
            half = np.array([radius, radius / 10, 0.0])
            boxed = centre + half * rng.uniform(-1, 1, size=(300, 3))
            improved = eclipse.upper(network, eclipse.ball(centre, radius))
            assert sampled <= improved <= float(over(network, centre, radius)) * (1 + 1e-9)
            in_box = eclipse.upper(network, eclipse.Region(centre, np.linalg.norm(half), half))
            assert jacobian_norms(network, boxed).max() <= in_box


def test_constants_over_balls_shrink_to_the_jacobian():
    radii = np.array([0.0, 1e-6, 1e-2, 0.1, 1.0, 1e30])
    at = eqx.filter_jit(
        lambda network, centre: jax.vmap(
            lambda radius: eclipse.local(network, eclipse.ball(centre, radius))
        )(radii)
    )
    for seed in range(10):
        network, centre = (
            random_network(seed, activation=activations.SILU),
            np.random.default_rng(seed).normal(size=3),
        )
        exact = jacobian_norms(network, centre[None])[0]
        with jax.enable_x64(True):
            bounds = np.asarray(at(network, jnp.asarray(centre)))
        assert exact <= bounds[0] <= 1.01 * exact
        assert exact <= bounds[1] <= 1.02 * exact
        assert eclipse.upper(network) <= bounds[-1] * (1 + 1e-9)


def test_arguments_apart():
    network = random_network(0, sizes=(5, 8, 8, 2))
    joint = eclipse.upper(network)
    parts = [eclipse.upper(network, columns=columns) for columns in ((0, 3), (3, 5))]
    points = np.random.default_rng(0).normal(size=(200, 5))
    jacobians = np.asarray(jax.vmap(jax.jacfwd(network))(points))
    for part, columns in zip(parts, (slice(0, 3), slice(3, 5)), strict=True):
        assert (
            np.linalg.norm(jacobians[:, :, columns], 2, axis=(1, 2)).max()
            <= part
            <= joint * (1 + 1e-3)
        )


def test_the_search_from_below_climbs_and_stays_in_the_box():
    def hill(x):
        return jnp.sin(x)  # steepest at 0

    far = np.linspace(0.5, 1.2, 20)[:, None]
    sampled = np.cos(0.5)
    assert lower(hill, far) > sampled + 0.1
    held = lower(hill, far, bounds=(np.array([0.4]), np.array([2.0])))
    assert sampled < held <= np.cos(0.4) + 1e-12


def test_the_search_from_below_survives_a_host_callback():
    def on_host(function, x):
        return jax.pure_callback(
            function, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims"
        )

    @jax.custom_jvp
    def foreign(x):
        return on_host(np.sin, x)

    @foreign.defjvp
    def _(primals, tangents):
        return foreign(*primals), on_host(np.cos, *primals) * tangents[0]

    points = np.linspace(0.5, 1.2, 20)[:, None]
    assert lower(foreign, points) == pytest.approx(np.cos(0.5))


def test_a_slope_that_the_layers_do_not_account_for_disproves_them():
    constant = bracket(lambda x: 3 * x, affine(np.eye(2)), np.ones((3, 2)))
    assert (constant.kind, constant.lower, constant.upper) == ("estimate", 3, 3)
    assert "do not account for the slope" in constant.why


def test_a_bracket_of_an_unknown_function_is_what_was_seen():
    constant = bracket(jnp.sin, "sine is of a type whose slopes are not known", np.zeros((3, 1)))
    assert constant.kind == "estimate"
    assert constant.lower == constant.upper == 1
    assert "sine" in constant.why


NAMES = {
    "dynamics",
    "reward",
    "policy",
    "closed_loop",
    "dynamics_state",
    "dynamics_action",
    "reward_state",
}
NAMES |= {"reward_action", "reward_next", "closed_loop_reward"}
STATES = np.random.default_rng(0).normal(size=(12, 4))


def test_brackets_of_a_linear_quadratic_system_are_exact_but_for_its_reward():
    world, policy = linear_quadratic(jax.random.key(0), norms=(0.9, 0.5, 0.4))
    bounds = brackets(world, policy, STATES, jax.random.key(0))
    assert set(bounds) == NAMES
    A, B, K = (
        np.asarray(x, np.float64) for x in (world.dynamics.A, world.dynamics.B, policy.function.K)
    )
    exact = {"dynamics_state": A, "dynamics_action": B, "policy": K, "closed_loop": A - B @ K}
    for name, matrix in exact.items():
        assert bounds[name].kind == "certificate"
        norm = np.linalg.norm(matrix, 2)
        assert norm * (1 - 1e-12) <= bounds[name].lower <= bounds[name].upper <= norm * (1 + 1e-9)
    assert bounds["dynamics"].upper == bounds["dynamics_state"].upper
    assert bounds["reward"].kind == bounds["closed_loop_reward"].kind == "estimate"
    assert "Quadratic" in bounds["reward_state"].why


@pytest.mark.parametrize("activation", ["tanh", pytest.param("sin", marks=pytest.mark.full)])
def test_brackets_of_globally_lipschitz_systems_find_their_constants(activation):
    world, policy = lipschitz_synthetic(
        jax.random.key(1), dynamics=0.7, reward=2.0, policy=0.3, activation=activation
    )
    bounds = brackets(world, policy, STATES, jax.random.key(0))
    for name, constant in (("dynamics", 0.7), ("reward", 2.0), ("policy", 0.3)):
        assert bounds[name].kind == "certificate"
        assert bounds[name].upper == pytest.approx(constant, rel=1e-5)
        assert bounds[name].lower == pytest.approx(constant, rel=0.15)
    assert bounds["reward_next"].upper == 0
    assert bounds["closed_loop"].upper <= 0.7 * 1.3
    # A certified closed-loop constant may exceed the certified split ones: sin gives 3.06 here.
    assert bounds["closed_loop_reward"].lower <= 2.0 * 1.3


def learned_world(space=None):
    space = Box(jnp.array([-2.0, 0.0]), jnp.array([1.0, 5.0])) if space is None else space
    dynamics, reward = learned(space)
    spec = Spec(3, space, jnp.array([1.0, 2.0, 0.5]), 10)
    start = Cube(-jnp.ones(3), jnp.ones(3))
    return MDP(spec, dynamics, reward, never, start, 0.9, dynamics.domain)


@pytest.mark.full
def test_brackets_of_learned_parts_hold_in_scaled_units():
    world = learned_world()
    policy = initial_policy(world.spec, jax.random.key(2), width=6)
    policy = eqx.tree_at(lambda p: p.network.weights[-1], policy, policy.network.weights[-1] * 50)
    bounds = brackets(world, policy, STATES[:, :3], jax.random.key(0))
    assert all(
        bound.kind == "certificate" and bound.lower <= bound.upper for bound in bounds.values()
    )
    with jax.enable_x64(True):
        mode, scale = in_double(policy).mode, np.asarray(world.spec.state_scale, np.float64)
        state = np.random.default_rng(1).normal(size=(400, 3)) * 2
        action, after = jax.vmap(mode)(state), state[::-1]
        move = jax.vmap(lambda s, a: in_double(world.dynamics)(s, a, jax.random.key(0)))
        reward = jax.vmap(in_double(world.reward))
        moved = np.asarray(move(state, action))

        def steepest(values, previous, apart):
            return np.max(
                np.linalg.norm(np.reshape(values - previous, (399, -1)), axis=1)
                / np.linalg.norm(apart, axis=1)
            )

        def apart(rows):
            return rows[1:] - rows[:-1]

        sampled = {
            "policy": steepest(action[1:], action[:-1], apart(state / scale)),
            "closed_loop": steepest(moved[1:] / scale, moved[:-1] / scale, apart(state / scale)),
            "dynamics_state": steepest(
                move(state[1:], action[1:]) / scale,
                move(state[:-1], action[1:]) / scale,
                apart(state / scale),
            ),
            "dynamics_action": steepest(
                move(state[1:], action[1:]) / scale,
                move(state[1:], action[:-1]) / scale,
                apart(action),
            ),
            "reward_next": steepest(
                reward(state[1:], action[1:], after[1:]),
                reward(state[1:], action[1:], after[:-1]),
                apart(after / scale),
            ),
        }
    for name, value in sampled.items():
        assert 0 < value <= bounds[name].upper, name


def test_loops_are_the_closed_loop_and_hold_over_balls_inside_a_scan():
    world = learned_world()
    policy = initial_policy(world.spec, jax.random.key(2), width=6, squash=False)
    closed = loops(world, policy)
    with jax.enable_x64(True):
        double, acting, key = in_double(world), in_double(policy), jax.random.key(0)
        scale = np.asarray(world.spec.state_scale, np.float64)
        state = STATES[:, :3]
        after = jax.vmap(lambda s: double.dynamics(s, acting.mode(s), key))(state)
        np.testing.assert_allclose(
            jax.vmap(closed.dynamics)(state / scale), after / scale, atol=1e-10
        )
        reward = jax.vmap(lambda s, a: double.reward(s, acting.mode(s), a))(state, after)
        np.testing.assert_allclose(jax.vmap(closed.reward)(state / scale)[:, 0], reward, atol=1e-9)

        def step(radius, s):
            ell, m = closed.at(s, radius)
            return ell * radius + 1e-3, (ell, m)

        ells, ms = eqx.filter_jit(lambda s: jax.lax.scan(step, jnp.zeros(()), s))(
            jnp.asarray(state)
        )[1]
        norms = (
            jacobian_norms(closed.dynamics, state / scale),
            jacobian_norms(closed.reward, state / scale),
        )
    assert (norms[0] <= np.asarray(ells)).all()
    assert (norms[1] <= np.asarray(ms)).all()


def test_discrete_actions_have_estimates_only():
    world = learned_world(Discrete(2))
    policy = Categorical(MLP(3, 2, 4, 1, jax.random.key(0)))
    bounds = brackets(world, policy, STATES[:, :3], jax.random.key(0))
    assert set(bounds) == NAMES
    assert bounds["policy"].upper == float("inf")
    for name in ("policy", "closed_loop", "closed_loop_reward"):
        assert bounds[name].kind == "estimate"
        assert "argmax" in bounds[name].why
    assert bounds["dynamics_action"].kind == bounds["dynamics"].kind == "estimate"
    assert bounds["dynamics_state"].kind == "certificate"
    with pytest.raises(Unreadable, match="argmax"):
        loops(world, policy)


def test_a_torch_policy_is_read_layer_by_layer_and_its_function_is_not():
    torch.manual_seed(0)
    world, _ = lipschitz_synthetic(jax.random.key(0))
    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    by_layers, by_answers = (
        brackets(world, foreign.policy(function, world.spec), STATES, jax.random.key(0))
        for function in (network, network.forward)
    )
    product = np.prod(
        [np.linalg.norm(layer.weight.detach().numpy(), 2) for layer in (network[0], network[2])]
    )
    assert {by_layers[name].kind for name in ("policy", "closed_loop")} == {"certificate"}
    assert by_answers["policy"].lower <= by_layers["policy"].upper <= product * (1 + 1e-6)
    assert {by_answers[name].kind for name in ("policy", "closed_loop")} == {"estimate"}
    assert "a function, of which only answers are known" in by_answers["policy"].why


def test_an_unknown_layer_is_named_in_the_bracket():
    world, _ = lipschitz_synthetic(jax.random.key(0))
    network = eqx.nn.Sequential([eqx.nn.Linear(4, 2, key=jax.random.key(0)), eqx.nn.LayerNorm(2)])
    bounds = brackets(world, Deterministic(network), STATES, jax.random.key(0))
    assert bounds["policy"].kind == bounds["closed_loop"].kind == "estimate"
    assert "LayerNorm" in bounds["policy"].why
    assert bounds["dynamics"].kind == "certificate"


def semidefinite_optimum(network):
    """LipSDP-Neuron as Fazlyab et al. (2019) write it, by an interior-point method.

    cvxpy is imported here alone: an oracle that only this test needs, in the test extra.
    """
    import cvxpy as cp

    sizes = [w.shape[1] for w in network.weights]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    pick = [np.eye(starts[-1])[a:b] for a, b in itertools.pairwise(starts)]
    squared = cp.Variable()
    total = (
        squared * pick[0].T @ pick[0]
        - pick[-1].T @ network.weights[-1].T @ network.weights[-1] @ pick[-1]
    )
    for i, (weight, neurons) in enumerate(zip(network.weights[:-1], network.hidden, strict=True)):
        least, most = _everywhere(neurons[0].activation)
        before, after = weight @ pick[i], pick[i + 1]
        multipliers = cp.diag(cp.Variable(len(weight), nonneg=True))
        cross = before.T @ multipliers @ after
        total = (
            total + least * most * before.T @ multipliers @ before + after.T @ multipliers @ after
        )
        total = total - (least + most) / 2 * (cross + cross.T)
    problem = cp.Problem(cp.Minimize(squared), [(total + total.T) / 2 >> 0])
    problem.solve(solver=cp.CLARABEL)
    return float(np.sqrt(squared.value))


@pytest.mark.full
@pytest.mark.parametrize("name", ["tanh", "silu", "gelu", "sigmoid", "leaky_relu"])
@pytest.mark.parametrize("width", [8, 16])
def test_upper_is_within_5_percent_of_the_semidefinite_optimum(name, width):
    for seed in range(3):
        network = random_network(seed, sizes=(4, width, width, 3), activation=ACTIVATIONS[name])
        optimum, upper = semidefinite_optimum(network), eclipse.upper(network)
        assert optimum * (1 - 1e-5) <= upper <= 1.05 * optimum


@pytest.mark.parametrize(
    ("slope", "steps"), [pytest.param(0.5, 100, marks=pytest.mark.full), (4.0, 10)]
)
def test_a_loop_that_expands_is_bounded_in_a_tenth_of_the_steps(slope, steps, monkeypatch):
    steps_taken, upper = set(), eclipse.upper

    def counted(*network, **options):
        steps_taken.add(options["steps"])
        return upper(*network, **options | {"steps": 2})

    monkeypatch.setattr(eclipse, "upper", counted)
    world, policy = lipschitz_synthetic(jax.random.key(1), dynamics=slope, policy=0.3)
    bounds = brackets(world, policy, STATES, jax.random.key(0))
    assert (bounds["closed_loop"].lower > 1) == (steps == 10)
    assert bounds["closed_loop"].lower <= bounds["closed_loop"].upper
    assert steps_taken == {steps}
