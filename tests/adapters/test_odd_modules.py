"""PyTorch modules that misbehave: each is answered exactly, or refused by one sentence with its
name.

The host's side is asked without a compiled program.
"""

import copy
import functools
import re
import sqlite3
import threading

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm import adapters as foreign
from paracosm.adapters.host import AUTOGRAD, DIFFERENCES
from paracosm.core import checks
from paracosm.core.mdp import Box, Spec
from tests.adapters.foreign_rows import RIGHT, ROWS, SLOPES, A, S, host

LINEAR = torch.nn.Linear(2, 2, bias=False)
LINEAR.weight.data = 0.9 * torch.eye(2)


class Module(torch.nn.Module):
    """0.9 s + a, by way of what a subclass makes of the product."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.9))
        self.linear = copy.deepcopy(LINEAR)

    def forward(self, s, a):
        return self.weight * s + a


class InPlaceInput(Module):
    def forward(self, s, a):
        s[:, 0] *= 0.9
        s[:, 1] *= 0.9
        s += a
        return s


class InPlaceInside(Module):
    def forward(self, s, a):
        x = torch.exp(s)
        y = torch.log(x)
        x *= 0
        return 0.9 * y + a


class Casting(Module):
    def forward(self, s, a):
        return self.linear(s.float()) + a.float()


class CastingBack(Module):
    def forward(self, s, a):
        return (self.linear.float()(s.float()) + a.float()).to(s.dtype)


class Detached(Module):
    def forward(self, s, a):
        return super().forward(s, a).detach()


class HalfDetached(Module):
    def forward(self, s, a):
        return 0.5 * s.detach() + 0.4 * s + a


class OneDetached(Module):
    def forward(self, s, a):
        right = super().forward(s, a)
        return torch.stack([right[:, 0].detach(), right[:, 1]], 1)


class NoGrad(Module):
    @torch.no_grad()
    def forward(self, s, a):
        return super().forward(s, a)


class Inference(Module):
    def forward(self, s, a):
        with torch.inference_mode():
            return super().forward(s, a)


class ThroughNumpy(Module):
    def forward(self, s, a):
        return torch.as_tensor(0.9 * s.detach().numpy()) + a


class NoDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 0.9 * x


class WrongDerivative(NoDerivative):
    @staticmethod
    def backward(ctx, x):
        return 3 * x


class Custom(Module):
    operation = NoDerivative

    def forward(self, s, a):
        return self.operation.apply(s) + a


class Wrong(Custom):
    operation = WrongDerivative


class Energy(Module):
    """The slope of 0.45 |s|², which needs gradients to answer."""

    def forward(self, s, a):
        s = s if s.requires_grad else s.clone().requires_grad_(True)
        return torch.autograd.grad((0.45 * s**2).sum(), s, create_graph=True)[0] + a


class Silent(Module):
    """Its `eval` and `cpu` give nothing back."""

    def eval(self):
        super().eval()

    def cpu(self):
        super().cpu()


class Optimised(Module):
    def __init__(self):
        super().__init__()
        self.optimiser = torch.optim.Adam(self.parameters())


class Used(Module):
    """It holds what its last call gave, in torch's graph."""

    def __init__(self):
        super().__init__()
        self.last = self(torch.ones(1, 2), torch.ones(1, 1))


class Normed(Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.utils.weight_norm(torch.nn.Linear(2, 2, bias=False))
        self.linear.weight_g.data, self.linear.weight_v.data = torch.full((2, 1), 0.9), torch.eye(2)

    def forward(self, s, a):
        return self.linear(s) + a


class Dropping(Module):
    def forward(self, s, a):
        return torch.nn.functional.dropout(super().forward(s, a), 0.5, self.training)


MODULES = {
    Module: (AUTOGRAD, 1e-7), InPlaceInput: (AUTOGRAD, 1e-12), InPlaceInside: (DIFFERENCES, 1e-12),
    Casting: (AUTOGRAD, 1e-6), CastingBack: (AUTOGRAD, 1e-6), Detached: (DIFFERENCES, 1e-7),
    HalfDetached: (DIFFERENCES, 1e-12), OneDetached: (DIFFERENCES, 1e-7), NoGrad: (DIFFERENCES,
    1e-7),
    Inference: (DIFFERENCES, 1e-7), ThroughNumpy: (DIFFERENCES, 1e-12), Custom: (DIFFERENCES,
    1e-12),
    Wrong: (DIFFERENCES, 1e-12), Energy: (AUTOGRAD, 1e-12), Silent: (AUTOGRAD, 1e-7),
    Optimised: (AUTOGRAD, 1e-7),
    Dropping: (AUTOGRAD, 1e-7), Used: (AUTOGRAD, 1e-7), Normed: (AUTOGRAD, 1e-7),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("module", MODULES)
def test_odd_modules_are_answered_exactly_and_say_how_their_slopes_were_made(module):
    derivatives, error = MODULES[module]
    dynamics = host(module())
    np.testing.assert_allclose(dynamics.value(ROWS), RIGHT, rtol=error, atol=error)
    value, slopes = dynamics.value_and_jacobian(ROWS)
    np.testing.assert_allclose(value, RIGHT, rtol=error, atol=error)
    np.testing.assert_allclose(slopes, SLOPES, atol=1e-3 if error == 1e-6 else 1e-7)
    assert dynamics.derivatives == derivatives
    assert dynamics.precision == ("32 bits" if error == 1e-6 else "64 bits")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.jit.script(torch.nn.Sequential(LINEAR)),
        lambda: torch.jit.trace(LINEAR, (torch.ones(3, 2),)),
        lambda: functools.partial(LINEAR.forward),
        lambda: functools.partial(torch.nn.Sequential(LINEAR)),
        lambda: torch.nn.DataParallel(LINEAR),
    ],
)
def test_modules_of_other_makes_are_modules(make):
    policy = foreign.policy(make(), Spec(2, Box(-jnp.ones(2), jnp.ones(2)), jnp.ones(2), 6)).host
    np.testing.assert_allclose(policy.value(S), 0.9 * S, rtol=1e-6)
    np.testing.assert_allclose(policy.value_and_jacobian(S)[1], SLOPES[:, :, :2], rtol=1e-6)
    assert (policy.derivatives, policy.precision) == (AUTOGRAD, "64 bits")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_answers_in_16_bits_have_slopes_of_16_bits(dtype):
    class Short(Module):
        def forward(self, s, a):
            return super().forward(s, a).to(dtype)

    dynamics = host(Short())
    np.testing.assert_allclose(dynamics.value(ROWS), RIGHT, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(dynamics.value_and_jacobian(ROWS)[1], SLOPES, atol=0.1)
    assert dynamics.precision == "16 bits"


class Bent(Module):
    """Kinks, at the bounds where actions and clipped states lie, and a plateau."""

    def forward(self, s, a):
        return torch.relu(s) + torch.clamp(a, -1, 1)


def test_kinks_at_which_recorded_actions_lie_are_no_reason_to_give_up_torchs_derivatives():
    rows = np.concatenate([S, np.sign(A)], axis=1)
    dynamics = host(Bent())
    dynamics.value_and_jacobian(rows)
    assert dynamics.derivatives == AUTOGRAD


class Root(Module):
    def forward(self, s, a):
        return torch.sqrt(torch.relu(s)) ** 2 * 0.9 + a


def test_a_derivative_that_is_not_finite_is_made_by_differences():
    rows = ROWS.copy()
    rows[0, 0] = 0.0
    slopes = host(Root()).value_and_jacobian(rows)[1]
    assert np.isfinite(slopes).all()
    np.testing.assert_allclose(slopes[1:, 0, 0], 0.9 * (S[1:, 0] > 0), atol=1e-7)


def carrying(what):
    module = Module()
    module.carried = what
    return module


NORM = torch.nn.BatchNorm1d(2, affine=False)


class Remembering(Module):
    """It goes on from its last call, if that was of as many rows."""

    last = None

    def forward(self, s, a):
        before = 0 if self.last is None or len(self.last) != len(s) else self.last
        self.last = super().forward(s, a) + 0.1 * before
        return self.last


UNCOPIED = "that cannot be copied .* give the sub-modules that answer, without what else it carries"
REFUSED_MODULES = {
    "a lock": (lambda: carrying(threading.Lock()), UNCOPIED),
    "a generator": (lambda: carrying(iter(x for x in "ab")), UNCOPIED),
    "a database": (lambda: carrying(sqlite3.connect(":memory:")), UNCOPIED),
    "a list of tensors in a graph": (lambda: carrying([LINEAR(torch.ones(1, 2))]), UNCOPIED),
    "no data": (lambda: Module().to("meta"), UNCOPIED),
    "parameters not made": (
        lambda: torch.nn.LazyLinear(2),
        "parameters that are not made yet; call it once",
    ),
    "statistics of the batch": (
        lambda: lambda s, a: NORM(s) + a,
        "answers a row differently in a batch of 7",
    ),
    "a memory": (Remembering, "answers the same question twice .* no memory between calls"),
    "dropout": (
        lambda: lambda s, a: torch.nn.functional.dropout(s) + a,
        "answers the same question twice",
    ),
    "a distribution": (
        lambda: lambda s, a: torch.distributions.Normal(s, 1),
        "gives a Normal for the next state",
    ),
    "complex": (lambda: lambda s, a: torch.complex(s, s), "gives a Tensor of torch.complex"),
    "the words of torch": (
        lambda: lambda s, a: torch.nn.Linear(7, 2)(s),
        "failed with RuntimeError: mat1 and mat2",
    ),
    "a class": (lambda: Module, "is the class Module; an instance or a function is needed"),
    "a component less": (
        lambda: lambda s, a: s[:, 0],
        r"gives the shape \(7,\) for the next state",
    ),
    "no data given": (lambda: lambda s, a: s.to("meta"), "failed with NotImplementedError: "),
}


@pytest.mark.parametrize("case", REFUSED_MODULES)
def test_a_module_that_cannot_be_used_is_refused_by_name_and_with_a_remedy(case):
    make, sentence = REFUSED_MODULES[case]
    with pytest.raises(checks.ParacosmError, match=sentence) as raised:
        host(make(), functions="torch").value(ROWS)
    assert re.match("the (PyTorch )?dynamics ", str(raised.value))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_rounding_in_batches_of_other_sizes_is_no_dependence_on_the_batch(scale):
    """Soundness: wide networks in 32 bits, whose products are summed in another order for other
    sizes.
    """
    torch.manual_seed(0)
    wide = (
        torch.nn.Linear(3, 512),
        torch.nn.SiLU(),
        torch.nn.Linear(512, 512),
        torch.nn.Linear(512, 2),
    )
    net = torch.nn.Sequential(*wide)
    dynamics = host(lambda s, a: scale * net(torch.cat([s, a], 1)), functions="torch")
    for seed in range(10):
        dynamics.value(np.random.default_rng(seed).normal(size=(200, 3)))


class Network(torch.nn.Module):
    """A residual network of ordinary make, which may cast for itself."""

    def __init__(self, seed, casts):
        super().__init__()
        torch.manual_seed(seed)
        kind = [torch.nn.ReLU, torch.nn.Tanh, torch.nn.SiLU, torch.nn.Hardtanh][seed % 4]
        self.net = torch.nn.Sequential(
            torch.nn.Linear(3, 64), torch.nn.LayerNorm(64), kind(), torch.nn.Linear(64, 2)
        )
        self.casts = casts

    def forward(self, s, a):
        x = torch.cat([s, a], 1)
        return s + self.net(x.float() if self.casts else x)


@pytest.mark.parametrize("casts", [False, True])
@pytest.mark.parametrize("nets", [8, pytest.param(200, marks=pytest.mark.full)])
def test_networks_of_ordinary_make_are_neither_refused_nor_differentiated_by_differences(
    nets, casts
):
    """Soundness; of 240 networks up to 512 wide none was."""
    for seed in range(nets):
        dynamics, rows = (
            host(Network(seed, casts)),
            np.random.default_rng(seed).normal(size=(40, 3)),
        )
        rows[:, 2] = np.sign(rows[:, 2])
        dynamics.value(rows)
        dynamics.value_and_jacobian(rows)
        assert (dynamics.derivatives, dynamics.precision) == (
            AUTOGRAD,
            "32 bits" if casts else "64 bits",
        )
