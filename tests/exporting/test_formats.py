"""Every format computes what the policy does, and what has no word in them is refused by name."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.adapters import policy as foreign_policy
from paracosm.core import checks
from paracosm.core.encoder import Encoder, Window
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.networks import MLP
from paracosm.core.observing import Observing
from paracosm.core.policy import (
    Categorical,
    Deterministic,
    Noisy,
    Policy,
    SquashedGaussian,
    Uniform,
    acts,
    initial_carries,
    initial_policy,
)
from paracosm.exporting import numpy_file, onnx_file, torch_file
from paracosm.exporting.program import KINDS
from paracosm.exporting.tracing import program_of
from paracosm.learning.latent.embedding import ConvolutionalNetwork, EmbeddedWindow
from paracosm.learning.latent.recurrent import GatedUnit, RecurrentEncoder

FORMATS = {"onnx": onnx_file, "numpy": numpy_file, "torch": torch_file}
ROWS = 64
BOX = Box(jnp.asarray([-2.0, 0.0]), jnp.asarray([1.0, 5.0]))
SPEC = Spec(3, BOX, jnp.asarray([1.0, 2.0, 0.5]), 50)
CHOICE = Discrete(4, 3)


def observations(size=3):
    return np.random.default_rng(0).normal(size=(ROWS, size)).astype(np.float32)


def strong(policy, factor=3.0):
    """Weights that are not near zero, so that actions differ and reach their bounds."""
    return eqx.tree_at(
        lambda p: p.network.weights[-1], policy, replace_fn=lambda w: w * factor / 0.01
    )


def trained(action, **options):
    spec = dataclasses.replace(SPEC, action=action)
    return strong(initial_policy(spec, jax.random.key(1), width=8, **options))


def squashed():
    return SquashedGaussian(MLP(3, 4, 8, 1, jax.random.key(2)), BOX)


POLICIES = {
    "squashed by tanh": (trained(BOX), BOX),
    "clipped": (trained(BOX, squash=False), BOX),
    "of a spread that varies": (squashed(), BOX),
    "discrete": (trained(CHOICE), CHOICE),
    "noisy": (Noisy(trained(BOX), BOX, 0.5), BOX),
    "constant": (Uniform(BOX), BOX),
}


def played(policy, space, steps):
    """Actions of the policy itself, as the environment numbers them, step by step."""
    greedy, rows = policy.greedy(), [*steps]
    carries, keys = initial_carries(greedy, ROWS), jax.random.split(jax.random.key(0), ROWS)
    actions = []
    for row in rows:
        action, carries = acts(greedy, carries, row, keys)
        actions.append(np.asarray(action) + getattr(space, "start", 0))
    return actions


def of_file(to, program, steps):
    """Actions of what a format makes of a program."""
    step = FORMATS[to].decode(FORMATS[to].encode(program, "A title.", "policy"))
    carry, actions = np.zeros((ROWS, program.carry_size), np.float32), []
    for row in steps:
        action, carry = step(row, carry)
        actions.append(action)
    return actions


@pytest.mark.parametrize("to", ["onnx", "numpy"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_file_acts_as_the_policy(name, to):
    policy, space = POLICIES[name]
    rows = [observations()]
    program = program_of(policy, space, (3,))
    (action,), (expected,) = of_file(to, program, rows), played(policy, space, rows)
    assert action.dtype == (np.int64 if isinstance(space, Discrete) else np.float32)
    np.testing.assert_allclose(action, expected, rtol=0, atol=1e-5)
    if isinstance(space, Discrete):
        assert set(action.tolist()) <= {3, 4, 5, 6}
        assert len(set(action.tolist())) > 1


def every_operation(x):
    """A function whose trace holds every operation that a program may have."""
    matrix = jnp.arange(12.0).reshape(3, 4) / 10
    rotated = jnp.stack([jnp.sin(x[0]), jnp.cos(x[1]), jnp.arctan2(x[1], x[2])])
    flag = jnp.where(jnp.argmin(x) == 1, x[0] > 0, (x[1] > 0) ^ (x[2] > 0))
    case = jax.lax.select_n(jnp.argmax(x).astype(jnp.int32) % 3 + 0, x, 2 * x, 3 * x)
    parts = [
        jax.nn.relu(x), jax.nn.silu(x), jax.nn.softplus(x), jax.nn.gelu(x), jax.nn.elu(x),
        jax.nn.softmax(x), (x - x.mean()) / jnp.sqrt(x.var() + 1e-5), jax.lax.rsqrt(x**2 + 1),
        rotated, x @ matrix, matrix.T @ x, jnp.outer(x, x).ravel(), jnp.roll(x, 1), x[::-1],
        x[jnp.array([2, 0, 0])], jnp.tile(x, 2), jnp.pad(x, (1, 2), constant_values=7), x[1:],
        jnp.mod(x + 1, 2.5), jnp.round(3 * x), jnp.floor(x) + jnp.ceil(2 * x), jnp.sign(x),
        jnp.abs(x) ** 1.5, jnp.exp(-x) + jnp.log(jnp.abs(x) + 1), jnp.tan(x / 4) + jnp.sinh(x),
        jnp.cosh(x), jnp.arcsin(jnp.tanh(x)) - jnp.arccos(jnp.tanh(x)) + jnp.arctan(x),
        jnp.clip(x, -0.5, 0.5), jnp.minimum(x, x[0]), jnp.where(jnp.isfinite(x), x, 0.0),
        jnp.where((x > 0) & ~(x >= 1) | (x <= -1) & (x != 3), x, -x), case,
        jnp.stack([jnp.linalg.norm(x), jnp.prod(x), x.min(), x.max(), x.sum()]),
        jnp.stack([jnp.all(x > -1), jnp.any(x > 1), flag]).astype(jnp.float32),
        jnp.broadcast_to(x[:, None] < x, (3, 3)).ravel().astype(jnp.float32),
    ]  # fmt: skip
    return jnp.concatenate(parts)


@pytest.fixture(scope="module")
def computed():
    size = jax.eval_shape(every_operation, jnp.zeros(3)).shape[0]
    box = Box(-jnp.ones(size), jnp.ones(size))
    policy = Deterministic(every_operation)
    return program_of(policy, box, (3,)), played(policy, box, [observations()])[0]


@pytest.mark.parametrize("to", FORMATS)
def test_every_operation_is_computed_as_by_jax(computed, to):
    program, expected = computed
    (action,) = of_file(to, program, [observations()])
    np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-5)


def test_the_operations_of_that_test_are_all_that_there_are(computed):
    assert KINDS - {operation.kind for operation in computed[0].operations} == set()


class Counter(Policy):
    """It carries a count that begins at 5, a flag and the sum of what it saw."""

    def initial(self):
        return jnp.asarray(5), jnp.zeros((), bool), jnp.ones((2, 3))

    def act(self, carry, state, key):
        count, odd, total = carry
        action = jnp.stack([count + total.sum() / 10, odd.astype(jnp.float32)])
        return action, (count + 2, ~odd, total + state)

    def greedy(self):
        return self


def recurrent(space):
    keys = jax.random.split(jax.random.key(3), 4)
    encoder = RecurrentEncoder(
        MLP(3, 5, 8, 1, keys[0]),
        GatedUnit(6, 2 + space.size, keys[1]),
        MLP(6 + 5, 4, 8, 1, keys[2]),
        MLP(6, 4, 8, 1, keys[3]),
        space,
    )
    return Observing(categorical(8), encoder, space, 3)


def categorical(size):
    return Categorical(MLP(size, CHOICE.n, 8, 1, jax.random.key(4)))


def pictured():
    network = ConvolutionalNetwork((30, 33, 1), 4, 8, jax.random.key(5))
    encoder = EmbeddedWindow(network, Window(2, CHOICE))
    return Observing(categorical(8 + CHOICE.n), encoder, CHOICE, 30 * 33, "uint8")


def windowed():
    return Observing(categorical(9 + 2 * CHOICE.n), Window(3, CHOICE), CHOICE, 3)


CARRYING = {
    "a carry that begins at other numbers than 0": (Counter, BOX, (3,)),
    "a window of observations and actions": (windowed, CHOICE, (3,)),
    "a recurrent filter": (lambda: recurrent(CHOICE), CHOICE, (3,)),
    "pictures": (pictured, CHOICE, (30, 33, 1)),
}


@pytest.mark.parametrize("name", CARRYING)
@pytest.mark.parametrize("to", ["onnx", "numpy"])
def test_a_carry_of_zeros_starts_an_episode_and_goes_from_step_to_step(name, to):
    make, space, shape = CARRYING[name]
    policy = make()
    size = int(np.prod(shape))
    steps = [observations(size) + shift for shift in range(4)]
    if len(shape) == 3:
        steps = [(40 * np.abs(step)).astype(np.uint8) for step in steps]
    program = program_of(policy, space, shape)
    actions, expected = of_file(to, program, steps), played(policy, space, steps)
    np.testing.assert_allclose(actions, expected, rtol=0, atol=2e-5)


def test_torch_carries_too():
    steps = [observations() + shift for shift in range(3)]
    program = program_of(windowed(), CHOICE, (3,))
    actions = of_file("torch", program, steps)
    np.testing.assert_array_equal(actions, played(windowed(), CHOICE, steps))


class Sorting(Encoder):
    """A filter that no format has a word for."""

    def initial(self, observation):
        return jnp.sort(observation)

    def update(self, state, action, observation):
        return jnp.sort(observation)


def looping(x):
    return jax.lax.fori_loop(0, (x[0] > 0).astype(int), lambda i, y: y / 2, x[:2])


def asking(observation):
    return np.zeros((len(observation), 2))


def halves(x):
    return jax.lax.round(x[:2], jax.lax.RoundingMethod.AWAY_FROM_ZERO)


REFUSED = {
    "a loop": (lambda: Deterministic(looping), "policy Deterministic.*a loop or by cases.*while"),
    "a function of Python": (
        lambda: foreign_policy(asking, SPEC),
        "policy ForeignPolicy.*asks a function of Python",
    ),
    "its encoder": (
        lambda: Observing(trained(BOX), Sorting(), BOX, 3),
        "encoder Sorting cannot be exported: it computes JAX's sort",
    ),
    "the policy behind an encoder": (
        lambda: Observing(Deterministic(lambda z: jnp.sort(z)[:2]), Window(1), BOX, 3),
        "policy Deterministic cannot be exported: it computes JAX's sort",
    ),
    "rounding": (lambda: Deterministic(halves), "rounds halves away from zero"),
    "bits": (
        lambda: Deterministic(lambda x: (x[:2].astype(int) & 1) * 1.0),
        "JAX's and of the bits of numbers",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_exported_is_refused_with_the_part_and_the_reason(what):
    make, sentence = REFUSED[what]
    with pytest.raises(checks.Unsupported, match=sentence):
        program_of(make(), BOX, (3,))


def test_a_module_says_what_is_wrong_with_what_it_is_given():
    names = {}
    exec(numpy_file.encode(program_of(windowed(), CHOICE, (3,)), "A title.", "policy"), names)
    predict = names["predict"]
    action, state = predict(np.zeros(3))
    assert (action.shape, state.shape) == ((), (1, names["CARRY"]))
    again, _ = predict(np.zeros((1, 3)), state, episode_start=[True])
    assert again[0] == action
    with pytest.raises(ValueError, match=r"observation has shape \(4,\); \(3,\), or several"):
        predict(np.zeros(4))
    with pytest.raises(ValueError, match="deterministic=True is needed"):
        predict(np.zeros(3), deterministic=False)


def test_a_title_from_elsewhere_is_no_code_of_the_module():
    title = 'new\\Name"""\nraise SystemExit("ran")\n""" caf\udce9'
    names = {}
    program = program_of(trained(BOX), BOX, (3,))
    exec(numpy_file.encode(program, title, "policy"), names)
    assert names["__doc__"].splitlines()[0].startswith("new\\Name'''")


def test_a_module_takes_pictures_as_they_are_or_flat():
    names, spec = {}, Spec(48, BOX, jnp.ones(48), 50)
    policy = initial_policy(spec, jax.random.key(1), width=8)
    exec(numpy_file.encode(program_of(policy, BOX, (4, 4, 3)), "A title.", "policy"), names)
    predict, pictures = names["predict"], observations(48).reshape(ROWS, 4, 4, 3)
    actions = predict(pictures)[0]
    np.testing.assert_array_equal(predict(pictures.reshape(ROWS, 48))[0], actions)
    for one in (pictures[0], pictures[0].ravel()):
        assert predict(one)[0].shape == (2,)
    with pytest.raises(ValueError, match=r"shape \(64, 16, 3\); \(4, 4, 3\), or several"):
        predict(pictures.reshape(ROWS, 16, 3))
