import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import activations, layers
from paracosm.core.layers import Unreadable, activated, affine, beside, compose, layers_of
from paracosm.core.mdp import Box, Discrete, Domain, Spec
from paracosm.core.networks import MLP
from paracosm.core.policy import Categorical, Deterministic, Mode, Noisy, Uniform, initial_policy
from paracosm.core.precision import in_double
from paracosm.learning.parts import Constant, LearnedDynamics, LearnedReward
from paracosm.real.systems import linear_quadratic, lipschitz_synthetic

SPEC = Spec(3, Box(jnp.array([-2.0, 0.0]), jnp.array([1.0, 5.0])), jnp.array([1.0, 2.0, 0.5]), 10)
KEY = jax.random.key(0)
STATES, ACTIONS, AFTER = (np.random.default_rng(0).normal(size=(20, n)) for n in (3, 2, 3))


def members(inputs, outputs, key, width=6, depth=2):
    center, scale = jax.random.normal(key, (2, inputs))

    def member(key):
        return MLP(inputs, outputs, width, depth, key, center=center, scale=jnp.exp(scale))

    return eqx.filter_vmap(member)(jax.random.split(key, 3))


def learned(space=SPEC.action, low=-0.5, high=0.7):
    keys = jax.random.split(jax.random.key(1), 2)
    domain = Domain(
        jnp.full(3, low), jnp.array([high, high, low])
    )  # the last component's data never vary
    size = space.size
    dynamics = LearnedDynamics(
        members(3 + size, 3, keys[0]), space, jnp.ones(3), jnp.array([1.0, 2.0, 3.0]), domain
    )
    return dynamics, LearnedReward(
        members(6 + size, 1, keys[1]), space, jnp.array(0.3), jnp.array(2.0)
    )


def same(network, function, *arguments):
    with jax.enable_x64(True):
        rows = np.concatenate(arguments, axis=1)
        expected = jax.vmap(in_double(function))(*arguments)
        np.testing.assert_allclose(
            jax.vmap(network)(rows), np.reshape(expected, (len(rows), -1)), rtol=1e-10, atol=1e-10
        )


def test_networks_compose_and_stand_side_by_side():
    rng = np.random.default_rng(0)
    first = compose(
        affine(rng.normal(size=(2, 5))),
        activated(activations.TANH, 5),
        affine(rng.normal(size=(5, 3)), 0.1),
    )
    second = affine(rng.normal(size=(4, 3)), rng.normal(size=4))
    third = compose(activated(activations.RELU, 6), affine(rng.normal(size=(6, 6))))
    x = rng.normal(size=3)
    with jax.enable_x64(True):
        parallel = beside(first, second)
        np.testing.assert_allclose(parallel(x), np.concatenate([first(x), second(x)]), rtol=1e-12)
        np.testing.assert_allclose(compose(third, parallel)(x), third(parallel(x)), rtol=1e-12)
        np.testing.assert_allclose(
            layers.rescaled(first, 2.0, 4.0)(x), first(2 * x) / 4, rtol=1e-12
        )


def test_readings_of_learned_parts_compute_the_same():
    dynamics, reward = learned()
    same(layers_of(dynamics, SPEC), lambda s, a: in_double(dynamics)(s, a, KEY), STATES, ACTIONS)
    same(layers_of(reward, SPEC), reward, STATES, ACTIONS, AFTER)
    same(
        layers_of(Constant(jnp.array(2.0)), SPEC),
        lambda s, a, after: np.full(1, 2.0),
        STATES,
        ACTIONS,
        AFTER,
    )


def test_readings_take_discrete_actions_one_hot():
    spec = Spec(3, Discrete(2), jnp.ones(3), 10)
    dynamics, _ = learned(spec.action)
    network, actions = layers_of(dynamics, spec), np.arange(20) % 2
    with jax.enable_x64(True):
        expected = jax.vmap(lambda s, a: in_double(dynamics)(s, a, KEY))(STATES, actions)
        rows = np.concatenate([STATES, np.eye(2)[actions]], axis=1)
        np.testing.assert_allclose(jax.vmap(network)(rows), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("squash", [True, False])
def test_readings_of_policies_compute_the_same(squash):
    policy = initial_policy(SPEC, jax.random.key(0), width=5, squash=squash)
    policy = eqx.tree_at(
        lambda p: p.network.weights[-1], policy, policy.network.weights[-1] * 300
    )  # beyond the box
    for acting in (policy, Mode(policy), Noisy(policy, SPEC.action, 0.1), Uniform(SPEC.action)):
        same(layers_of(acting, SPEC), in_double(acting.greedy()).mode, STATES)


@pytest.mark.parametrize("activation", ["tanh", "sin"])
def test_readings_of_known_systems_compute_the_same(activation):
    for world, policy in (
        linear_quadratic(jax.random.key(0)),
        lipschitz_synthetic(jax.random.key(0), activation=activation),
    ):
        states, actions = np.random.default_rng(0).normal(size=(2, 20, 4))
        actions = actions[:, :2]
        same(
            layers_of(world.dynamics, world.spec),
            lambda s, a, f=world.dynamics: in_double(f)(s, a, KEY),
            states,
            actions,
        )
        same(layers_of(policy, world.spec), lambda s, p=policy: in_double(p).mode(s), states)
    same(layers_of(world.reward, world.spec), world.reward, states, actions, states)


@pytest.mark.parametrize(
    "activation",
    [
        jax.nn.relu,
        jnp.tanh,
        jax.nn.softplus,
        jax.nn.silu,
        jax.nn.gelu,
        jax.nn.sigmoid,
        jax.nn.leaky_relu,
    ],
)
def test_readings_of_equinox_networks_compute_the_same(activation):
    keys = jax.random.split(jax.random.key(0), 3)
    mlp = eqx.nn.MLP(3, 2, 4, 2, activation, key=keys[0])
    last = eqx.nn.MLP(3, 2, 4, 1, activation, activation, key=keys[0])
    plain = eqx.nn.Linear(2, 5, use_bias=False, key=keys[1])
    row = eqx.nn.Sequential([mlp, eqx.nn.Lambda(activation), plain, eqx.nn.Lambda(jnp.tanh)])
    for network in (mlp, last, row):
        same(layers_of(network, SPEC), network, STATES)


def test_what_cannot_be_read_is_named():
    for part, word in (
        (eqx.nn.LayerNorm(3), "LayerNorm"),
        (
            eqx.nn.Sequential([eqx.nn.Linear(3, 3, key=jax.random.key(0)), eqx.nn.LayerNorm(3)]),
            "LayerNorm",
        ),
        (eqx.nn.MLP(3, 2, 4, 2, jax.nn.elu, key=jax.random.key(0)), "elu"),
        (Categorical(MLP(3, 2, 4, 1, jax.random.key(0))), "Categorical"),
        (Deterministic(jnp.cumsum), "cumsum"),
        (Uniform(Discrete(2)), "discrete"),
        (eqx.nn.Sequential([eqx.nn.Lambda(jnp.tanh)]), "first layer"),
        (eqx.nn.Sequential([]), "no layers"),
        (learned(high=np.inf)[0], "not finite"),
    ):
        with pytest.raises(Unreadable, match=word):
            layers_of(part, SPEC)


def test_a_subclass_may_compute_something_else_and_is_not_read():
    class Tenfold(eqx.nn.MLP):
        def __call__(self, x, *, key=None):
            return 10 * super().__call__(x)

    spec = Spec(2, Box(-np.ones(1), np.ones(1)), np.ones(2), 5)
    with pytest.raises(Unreadable, match="Tenfold is of a type whose slopes are not known"):
        layers_of(Tenfold(2, 1, 4, 1, key=jax.random.key(0)), spec)
    dynamics, _ = learned()

    class Doubled(LearnedDynamics):
        def __call__(self, state, action, key):
            return 2 * super().__call__(state, action, key)

    with pytest.raises(Unreadable, match="Doubled is of a type whose slopes are not known"):
        layers_of(Doubled(**vars(dynamics)), SPEC)
    bent = eqx.nn.MLP(2, 1, 4, 1, activation=eqx.nn.PReLU(), key=jax.random.key(0))
    with pytest.raises(Unreadable, match="slopes that are not known"):
        layers_of(bent, spec)
