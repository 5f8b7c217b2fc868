"""Values and derivatives of foreign functions inside compiled programs: forward, reverse, batched,
on two devices.
"""

import contextlib
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm.adapters.arrays import NumpyHost
from paracosm.adapters.call import MOST_INPUTS, MOST_OUTPUTS, ask
from paracosm.adapters.host import MOST_DIFFERENCED, Slot
from paracosm.adapters.torch import TorchHost
from paracosm.core import callbacks, checks

INPUTS = 5


class Net(torch.nn.Module):
    """Two inputs, two results of which one is a scalar and one does not depend on the
    second input.
    """

    def __init__(self, inputs=INPUTS):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = torch.nn.Parameter(torch.randn(inputs, 8, generator=generator) / 2)
        self.second = torch.nn.Parameter(torch.randn(8, 3, generator=generator))

    def forward(self, s, a):
        return torch.tanh(torch.cat([s, a], 1) @ self.first) @ self.second, torch.sin(s).sum(1) * s[
            :, 0
        ]

    def blind(self, s, a):
        with torch.no_grad():
            return self(s, a)


def in_jax(x):
    """The same in JAX."""
    net, s = Net(), x[:3]
    first, second = (jnp.asarray(w.detach().numpy(), x.dtype) for w in (net.first, net.second))
    return jnp.concatenate([jnp.tanh(x @ first) @ second, (jnp.sin(s).sum() * s[0])[None]])


def in_numpy(s, a):
    net = Net()
    first, second = (w.detach().numpy().astype(np.float64) for w in (net.first, net.second))
    return np.tanh(np.concatenate([s, a], 1) @ first) @ second, np.sin(s).sum(1) * s[:, 0]


TAKES = [Slot("s", 3), Slot("a", INPUTS - 3, scale=np.array([1.0, 2.0]))]
GIVES = [Slot("next state", 3), Slot("reward", None)]
HOSTS = {
    "module": lambda: TorchHost(Net(), "step", TAKES, GIVES),
    "method": lambda: TorchHost(Net().blind, "step", TAKES, GIVES),
    "function": lambda: NumpyHost(in_numpy, "step", TAKES, GIVES),
}


def points(rows=4):
    return np.random.default_rng(0).normal(size=(rows, INPUTS))


@pytest.mark.parametrize("kind", HOSTS)
def test_in_64_bits_value_and_both_modes_equal_the_same_function_in_jax(kind):
    """Finite differences are good to the square of their step, 4e-11 here, and rounding over it."""
    error = 1e-12 if kind == "module" else 1e-8
    host = HOSTS[kind]()
    with jax.enable_x64(True):
        x = jnp.asarray(points())
        apply = jax.vmap(lambda x: ask(host, x))
        np.testing.assert_allclose(jax.jit(apply)(x), jax.vmap(in_jax)(x), rtol=1e-12)
        expected = jax.vmap(jax.jacrev(in_jax))(x)
        for mode in (jax.jacfwd, jax.jacrev):
            jacobian = jax.jit(jax.vmap(mode(lambda x: ask(host, x))))(x)
            np.testing.assert_allclose(jacobian, expected, atol=error)


@pytest.mark.parametrize("kind", HOSTS)
def test_in_32_bits_too(kind):
    host = HOSTS[kind]()
    x = jnp.asarray(points(), jnp.float32)
    apply = jax.vmap(lambda x: ask(host, x))
    assert apply(x).dtype == jnp.float32
    np.testing.assert_allclose(apply(x), jax.vmap(in_jax)(x), rtol=1e-5, atol=1e-6)
    jacobian = jax.vmap(jax.jacfwd(lambda x: ask(host, x)))(x)
    np.testing.assert_allclose(jacobian, jax.vmap(jax.jacfwd(in_jax))(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", HOSTS)
def test_through_a_rollout_tangents_and_cotangents_agree_with_differences_and_with_each_other(kind):
    host = HOSTS[kind]()

    def rollout(start):
        def step(state, _):
            after = jax.vmap(lambda s: ask(host, jnp.concatenate([s, jnp.sin(s[:2])])))(state)
            return after[:, :3] / 2, after[:, 3]

        return jax.lax.scan(step, start, length=4)[1].sum()

    with jax.enable_x64(True):
        start, along = jnp.asarray(points()[:, :3]), jnp.asarray(points()[:, 2:])
        forward = jax.jit(lambda x, v: jax.jvp(rollout, (x,), (v,))[1])(start, along)
        backward = jnp.vdot(jax.jit(jax.grad(rollout))(start), along)
        step = 1e-5
        difference = (rollout(start + step * along) - rollout(start - step * along)) / (2 * step)
    assert forward == pytest.approx(float(backward), rel=1e-10)
    assert forward == pytest.approx(float(difference), rel=1e-6)


def test_a_function_that_shows_torch_nothing_says_how_its_derivatives_were_found():
    module, method = HOSTS["module"](), HOSTS["method"]()
    for host in (module, method):
        host.value_and_jacobian(points())
    assert module.derivatives == "torch autograd"
    assert method.derivatives == HOSTS["function"]().derivatives == "finite differences"


def counting(calls):
    def function(s, a):
        calls.append(s.shape)
        return in_numpy(s, a)

    return NumpyHost(function, "step", TAKES, GIVES)


def test_a_batch_is_one_call_a_step():
    calls = []
    host = counting(calls)
    host.row_independence.tries = 0
    apply = jax.jit(jax.vmap(jax.vmap(lambda x: ask(host, x))))
    answers = apply(jnp.asarray(points(6).reshape(2, 3, INPUTS), jnp.float32))
    assert answers.shape == (2, 3, 4)
    assert calls == [(6, 3)]


def test_values_alone_ask_for_no_jacobian_and_stopped_gradients_neither():
    calls = []
    host = counting(calls)
    host.row_independence.tries = 0
    jax.jvp(lambda x: ask(host, jax.lax.stop_gradient(x)), (jnp.ones(INPUTS),), (jnp.ones(INPUTS),))
    assert calls == [(1, 3)]


def test_second_derivatives_are_refused():
    host = HOSTS["module"]()
    with pytest.raises(checks.Unsupported, match="PyTorch step has first derivatives only"):
        jax.hessian(lambda x: ask(host, x).sum())(jnp.ones(INPUTS))


class Wide(torch.nn.Module):
    """`tanh(x W + b) V`, of more outputs than a dense Jacobian is made for."""

    def __init__(self, inputs=6, outputs=MOST_OUTPUTS + 4):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.first = torch.nn.Parameter(torch.randn(inputs, 8, generator=generator) / 2)
        self.second = torch.nn.Parameter(torch.randn(8, outputs, generator=generator))
        self.calls = []

    def forward(self, x):
        return torch.tanh(x @ self.first) @ self.second

    def counted(self, x):
        self.calls.append(len(x))
        return self(x)

    def in_jax(self, x, library=jnp):
        first, second = (w.detach().numpy().astype(np.float64) for w in (self.first, self.second))
        return library.tanh(x @ first) @ second

    def in_numpy(self, x):
        return self.in_jax(x, np)


def wide(function, net):
    sizes = len(net.first), net.second.shape[1]
    kind = TorchHost if isinstance(function, torch.nn.Module) else NumpyHost
    return kind(function, "map", [Slot("x", sizes[0])], [Slot("y", sizes[1])])


@pytest.mark.parametrize("kind", ["torch", "numpy"])
@pytest.mark.parametrize("sizes", [(6, MOST_OUTPUTS + 4), (MOST_INPUTS + 1, 2)])
def test_products_of_a_large_part_are_those_of_its_jacobian_and_of_the_same_in_jax(kind, sizes):
    net = Wide(*sizes)
    host = wide(net if kind == "torch" else net.in_numpy, net)
    error = 1e-12 if kind == "torch" else 1e-8
    random = np.random.default_rng(0)
    x, v = random.normal(size=(5, sizes[0])), random.normal(size=(5, sizes[1]))
    dense = np.einsum("no,noi->ni", v, host.value_and_jacobian(x)[1])
    with jax.enable_x64(True):
        pulled = jax.jit(jax.vmap(lambda x, v: jax.vjp(lambda x: ask(host, x), x)[1](v)[0]))(x, v)
        expected = jax.vmap(lambda x, v: jax.vjp(net.in_jax, x)[1](v)[0])(x, v)
        jacobian = jax.jacrev(lambda x: ask(host, x))(x[0])
    np.testing.assert_allclose(pulled, dense, atol=error)
    np.testing.assert_allclose(pulled, expected, atol=error)
    np.testing.assert_allclose(jacobian, jax.jacrev(net.in_jax)(x[0]), rtol=1e-4, atol=1e-5)


def test_through_a_scan_a_large_part_has_the_gradient_of_the_same_in_jax_and_of_differences():
    net = Wide(MOST_OUTPUTS + 4, MOST_OUTPUTS + 4)
    host = wide(net, net)

    def total(of):
        def step(x, _):
            after = of(x) / 4
            return after, jnp.sum(after**2)

        return lambda x: jnp.sum(jax.lax.scan(step, x, length=3)[1])

    random = np.random.default_rng(0)
    x, along = random.normal(size=(2, 3, MOST_OUTPUTS + 4))
    with jax.enable_x64(True):
        played = total(jax.vmap(lambda x: ask(host, x)))
        gradient = jax.jit(jax.grad(played))(x)
        np.testing.assert_allclose(gradient, jax.grad(total(net.in_jax))(x), rtol=1e-9, atol=1e-12)
        difference = (played(x + 1e-5 * along) - played(x - 1e-5 * along)) / 2e-5
    assert np.vdot(gradient, along) == pytest.approx(float(difference), rel=1e-6)


def test_a_product_is_one_backward_pass_for_a_whole_batch_and_none_where_nothing_is_asked():
    net = Wide()
    host = TorchHost(net.counted, "map", [Slot("x", 6)], [Slot("y", MOST_OUTPUTS + 4)])
    host._compared, host.row_independence.tries = True, 0
    x, v = np.ones((7, 6)), np.ones((7, MOST_OUTPUTS + 4))
    v[2:4] = 0
    product = host.vector_jacobian_product(x, v)
    calls = host._copies.in_precision(torch.float64).calls
    assert calls[-1] == 5
    assert len(calls) <= 2
    assert (product[2:4] == 0).all()
    np.testing.assert_allclose(product[0], host.value_and_jacobian(x)[1][0].sum(axis=0))


def test_a_cotangent_beyond_the_floating_numbers_is_no_fault_of_the_function():
    net = Wide()
    host, v = wide(net, net), np.ones((3, MOST_OUTPUTS + 4))
    v[0], v[1] = np.inf, 1e300
    product = host.vector_jacobian_product(np.zeros((3, 6)), v)
    assert np.isnan(product[0]).all()
    assert not np.isnan(product[1]).any()
    np.testing.assert_allclose(product[1] / 1e300, product[2], rtol=1e-12)


def test_forward_mode_and_second_derivatives_of_a_large_part_are_refused():
    net = Wide()
    host, x = wide(net, net), jnp.ones(6)
    with pytest.raises(checks.Unsupported, match=r"map has 6 inputs and 20 outputs; .* rev"):
        jax.jit(lambda x: jax.jvp(lambda x: ask(host, x), (x,), (x,)))(x)
    with pytest.raises(checks.Unsupported, match="PyTorch map has first derivatives only"):
        jax.jacrev(jax.grad(lambda x: ask(host, x).sum()))(x)


def test_a_large_part_without_derivatives_is_refused_before_it_takes_an_hour():
    class Rounded(Wide):
        """Rounded, with the gradient passed straight through."""

        def forward(self, x):
            return x + (torch.round(x) - x).detach() + 0 * x.sum(1, keepdim=True)

    size = MOST_DIFFERENCED + 1
    host = TorchHost(Rounded(), "next", [Slot("x", size)], [Slot("y", size)])
    with pytest.raises(checks.Unsupported, match="PyTorch next has 257 inputs and no derivatives"):
        host.vector_jacobian_product(np.ones((3, size)), np.ones((3, size)))


@pytest.mark.parametrize("kind", [jnp.uint8, jnp.int32, jnp.bfloat16, jnp.float16, jnp.float32])
def test_numbers_of_every_type_are_answered_in_floats(kind):
    host = NumpyHost(lambda s: s / 8, "encoder", [Slot("s", 2)], [Slot("z", 2)])
    answer = ask(host, jnp.asarray([200, 3], kind))
    assert answer.dtype == (jnp.float16 if kind is jnp.float16 else jnp.float32)
    np.testing.assert_array_equal(answer, [25, 0.375])


def test_numbers_of_another_count_are_refused_before_the_function_is_called():
    host = HOSTS["function"]()
    sentence = r"the NumPy step is asked at an array of shape \(6,\); 5 numbers \(s, a\) are needed"
    with pytest.raises(checks.BadData, match=sentence):
        jax.eval_shape(jax.vmap(lambda x: ask(host, x)), jnp.ones((2, INPUTS + 1)))


def test_a_complaint_in_a_compiled_program_is_raised_as_itself():
    def broken(s, a):
        raise RuntimeError("the tank\nis empty")

    host = NumpyHost(broken, "dynamics", TAKES, GIVES[:1])
    with pytest.raises(checks.BadData) as raised, callbacks.as_raised():
        jax.block_until_ready(jax.jit(lambda x: ask(host, x))(jnp.ones(INPUTS)))
    assert str(raised.value) == "the NumPy dynamics failed with RuntimeError: the tank is empty"


def test_a_complaint_of_a_later_call_of_the_same_program_is_raised_as_itself_too():
    def brittle(s, a):
        assert (s < 2).all(), "too far"
        return s

    host = NumpyHost(brittle, "dynamics", TAKES, GIVES[:1])
    program = jax.jit(lambda x: ask(host, x))
    program(jnp.ones(INPUTS)), program(jnp.zeros(INPUTS))
    for _ in range(2):
        with (
            pytest.raises(
                checks.BadData, match="NumPy dynamics failed with AssertionError: too far"
            ),
            callbacks.as_raised(),
        ):
            jax.block_until_ready(program(3 * jnp.ones(INPUTS)))


def test_a_complaint_that_was_dealt_with_does_not_stand_for_a_later_error():
    def broken(s, a):
        raise OSError("no oil")

    host = NumpyHost(broken, "dynamics", TAKES, GIVES[:1])

    def recovering():
        with contextlib.suppress(Exception):
            jax.block_until_ready(jax.jit(lambda x: ask(host, x))(jnp.ones(INPUTS)))
        raise ValueError("of numbers")

    with pytest.raises(ValueError, match="of numbers"), callbacks.as_raised():
        recovering()


def test_other_errors_are_left_as_they_are():
    for error in (ValueError("of numbers"), checks.BadArgument("of ours")):
        with pytest.raises(type(error)) as raised, callbacks.as_raised():
            raise error
        assert raised.value is error


TWO_DEVICES = """
import jax, jax.numpy as jnp, numpy as np, torch
from paracosm.core import checks
from paracosm.core.devices import map_over_devices
from paracosm.adapters.call import ask
from paracosm.core import callbacks
from paracosm.adapters.host import Slot
from paracosm.adapters.torch import TorchHost

assert jax.local_device_count() == 2
torch.manual_seed(0)
layers = torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 4), torch.nn.Tanh()
net = torch.nn.Sequential(*layers)
host = TorchHost(net, "dynamics", [Slot("s", 4)], [Slot("next state", 4)])


def play(states):
    step = lambda s, _: (jax.vmap(lambda s: ask(host, s))(s), None)
    return jax.lax.scan(step, states, length=30)[0]


for rows in (2, 512, 20_000):
    with jax.enable_x64(True):
        states = np.random.default_rng(0).normal(size=(rows, 4))
        mapped = map_over_devices(play, rows, shared=0)
        found = jax.jit(mapped)(states)
        tangent = jax.jit(lambda s: jax.jvp(mapped, (s,), (s,))[1])(states)
        expected = torch.tensor(states)
        with torch.no_grad():
            for _ in range(30):
                expected = net.double()(expected)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-12)
        assert len(found.sharding.device_set) == 2 and np.isfinite(tangent).all()

host = TorchHost(lambda s: s / 0, "dynamics", [Slot("s", 4)], [Slot("next state", 4)])
try:
    with callbacks.as_raised():
        mapped = jax.jit(map_over_devices(play, 8, shared=0))
        jax.block_until_ready(mapped(np.ones((8, 4), np.float32)))
except checks.BadData as error:
    assert "PyTorch dynamics gives inf" in str(error)
    print("done")
"""


def test_two_devices_run_a_sharded_batch_without_waiting_for_each_other():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags}
    ran = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        check=True,
        env=environment,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "done\n"
    assert "Traceback" not in ran.stderr  # JAX waits at exit for the program that failed
