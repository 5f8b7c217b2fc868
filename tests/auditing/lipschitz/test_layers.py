import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm.auditing.lipschitz import layers, readers
from paracosm.auditing.lipschitz.layers import activated, affine, beside, compose
from paracosm.core.mdp import Box, Discrete, Domain, Spec
from paracosm.core.networks import MLP
from paracosm.core.policy import Categorical, Deterministic, Mode, Noisy, Uniform, initial_policy
from paracosm.core.precision import in_double
from paracosm.learning.parts import Constant, LearnedDynamics, LearnedReward
from paracosm.real.systems import linear_quadratic, lipschitz_synthetic

ACTIVATIONS = {
    activation.name: activation
    for activation in (
        layers.IDENTITY,
        layers.TANH,
        layers.RELU,
        layers.SOFTPLUS,
        layers.SIGMOID,
        layers.SILU,
        layers.GELU,
        layers.GELU_TANH,
        layers.SIN,
        layers.CLIP,
        layers.leaky_relu(0.1),
    )
}
SPEC = Spec(3, Box(jnp.array([-2.0, 0.0]), jnp.array([1.0, 5.0])), jnp.array([1.0, 2.0, 0.5]), 10)
KEY = jax.random.key(0)
STATES, ACTIONS, AFTER = (np.random.default_rng(0).normal(size=(20, n)) for n in (3, 2, 3))


def members(inputs, outputs, key, width=6, depth=2):
    center, scale = jax.random.normal(key, (2, inputs))

    def one(key):
        return MLP(inputs, outputs, width, depth, key, center=center, scale=jnp.exp(scale))

    return eqx.filter_vmap(one)(jax.random.split(key, 3))


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


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_of_an_interval_hold_every_secant_and_no_more(name):
    activation, rng = ACTIVATIONS[name], np.random.default_rng(0)
    low = rng.normal(size=200) * 4
    high = low + 10 ** rng.uniform(-2, 1, size=200)
    with jax.enable_x64(True):
        least, most = map(np.asarray, activation.slopes(low, high))
        points = low + (high - low) * np.linspace(0, 1, 801)[:, None]
        secants = np.diff(activation.function(points), axis=0) / np.diff(points, axis=0)
    assert (secants.min(axis=0) >= least - 1e-9).all()
    assert (secants.max(axis=0) <= most + 1e-9).all()
    straight = name not in (
        "relu",
        "clip",
        "leaky_relu",
    )  # a kink's range may be narrower than one secant's step
    if straight:
        assert (secants.min(axis=0) <= least + 0.01).all()
        assert (secants.max(axis=0) >= most - 0.01).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("silu", (-0.0999, 1.0999)),
        ("gelu", (-0.1290, 1.1290)),
        ("gelu_tanh", (-0.1290, 1.1290)),
        ("tanh", (0, 1)),
        ("sigmoid", (0, 0.25)),
        ("softplus", (0, 1)),
        ("sin", (-1, 1)),
        ("leaky_relu", (0.1, 1)),
    ],
)
def test_slopes_everywhere(name, expected):
    with jax.enable_x64(True):
        found = ACTIVATIONS[name].slopes(jnp.array([-1e30]), jnp.array([1e30]))
    np.testing.assert_allclose(np.concatenate(found), expected, atol=2e-4)


def test_networks_compose_and_stand_side_by_side():
    rng = np.random.default_rng(0)
    first = compose(
        affine(rng.normal(size=(2, 5))),
        activated(layers.TANH, 5),
        affine(rng.normal(size=(5, 3)), 0.1),
    )
    second = affine(rng.normal(size=(4, 3)), rng.normal(size=4))
    third = compose(activated(layers.RELU, 6), affine(rng.normal(size=(6, 6))))
    x = rng.normal(size=3)
    with jax.enable_x64(True):
        both = beside(first, second)
        np.testing.assert_allclose(both(x), np.concatenate([first(x), second(x)]), rtol=1e-12)
        np.testing.assert_allclose(compose(third, both)(x), third(both(x)), rtol=1e-12)
        np.testing.assert_allclose(
            layers.rescaled(first, 2.0, 4.0)(x), first(2 * x) / 4, rtol=1e-12
        )


def test_readings_of_learned_parts_compute_the_same():
    dynamics, reward = learned()
    same(readers.read(dynamics, SPEC), lambda s, a: in_double(dynamics)(s, a, KEY), STATES, ACTIONS)
    same(readers.read(reward, SPEC), reward, STATES, ACTIONS, AFTER)
    same(
        readers.read(Constant(jnp.array(2.0)), SPEC),
        lambda s, a, after: np.full(1, 2.0),
        STATES,
        ACTIONS,
        AFTER,
    )


def test_readings_take_discrete_actions_one_hot():
    spec = Spec(3, Discrete(2), jnp.ones(3), 10)
    dynamics, _ = learned(spec.action)
    network, actions = readers.read(dynamics, spec), np.arange(20) % 2
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
    for each in (policy, Mode(policy), Noisy(policy, SPEC.action, 0.1), Uniform(SPEC.action)):
        same(readers.read(each, SPEC), in_double(each.greedy()).mode, STATES)


@pytest.mark.parametrize("activation", ["tanh", "sin"])
def test_readings_of_known_systems_compute_the_same(activation):
    for world, policy in (
        linear_quadratic(jax.random.key(0)),
        lipschitz_synthetic(jax.random.key(0), activation=activation),
    ):
        states, actions = np.random.default_rng(0).normal(size=(2, 20, 4))
        actions = actions[:, :2]
        same(
            readers.read(world.dynamics, world.spec),
            lambda s, a, f=world.dynamics: in_double(f)(s, a, KEY),
            states,
            actions,
        )
        same(readers.read(policy, world.spec), lambda s, p=policy: in_double(p).mode(s), states)
    same(readers.read(world.reward, world.spec), world.reward, states, actions, states)


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
    whole = eqx.nn.MLP(3, 2, 4, 2, activation, key=keys[0])
    last = eqx.nn.MLP(3, 2, 4, 1, activation, activation, key=keys[0])
    plain = eqx.nn.Linear(2, 5, use_bias=False, key=keys[1])
    row = eqx.nn.Sequential([whole, eqx.nn.Lambda(activation), plain, eqx.nn.Lambda(jnp.tanh)])
    for network in (whole, last, row):
        same(readers.read(network, SPEC), network, STATES)


def test_readings_of_torch_networks_compute_the_same():
    torch.manual_seed(0)
    nn = torch.nn
    acting = [
        nn.Tanh(),
        nn.ReLU(),
        nn.SiLU(),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.Sigmoid(),
        nn.LeakyReLU(0.2),
    ]
    row = [nn.Linear(3, 4), *(each for act in acting for each in (act, nn.Linear(4, 4)))]
    network = nn.Sequential(*row).double()
    with torch.no_grad():
        expected = network(torch.from_numpy(STATES)).numpy()
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            jax.vmap(readers.read(network, SPEC))(STATES), expected, rtol=1e-10, atol=1e-10
        )


def test_torch_layers_that_compute_something_else_are_not_read():
    class Tanh(torch.nn.Module):
        def forward(self, x):
            return 3 * torch.tanh(x)

    with pytest.raises(readers.Unreadable, match="Tanh is of a type whose slopes are not known"):
        readers.read(torch.nn.Sequential(torch.nn.Linear(3, 2), Tanh()), SPEC)
    hooked = torch.nn.Sequential(torch.nn.Linear(3, 2))
    hooked[0].register_forward_hook(lambda module, given, found: 3 * found)
    with pytest.raises(readers.Unreadable, match="Linear has hooks"):
        readers.read(hooked, SPEC)


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
        with pytest.raises(readers.Unreadable, match=word):
            readers.read(part, SPEC)


def test_a_subclass_may_compute_something_else_and_is_not_read():
    class Tenfold(eqx.nn.MLP):
        def __call__(self, x, *, key=None):
            return 10 * super().__call__(x)

    spec = Spec(2, Box(-np.ones(1), np.ones(1)), np.ones(2), 5)
    with pytest.raises(readers.Unreadable, match="Tenfold is of a type whose slopes are not known"):
        readers.read(Tenfold(2, 1, 4, 1, key=jax.random.key(0)), spec)
    bent = eqx.nn.MLP(2, 1, 4, 1, activation=eqx.nn.PReLU(), key=jax.random.key(0))
    with pytest.raises(readers.Unreadable, match="slopes that are not known"):
        readers.read(bent, spec)
