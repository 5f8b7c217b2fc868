"""PyTorch modules and functions, with values and derivatives from torch itself."""

from __future__ import annotations

import copy
import dataclasses
import functools
import io
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from paracosm.adapters.answers import (
    FunctionFailed,
    as_array,
    exception_text,
    failure_of,
    require_real,
)
from paracosm.adapters.host import (
    AUTOGRAD,
    DIFFERENCES,
    MOST_DIFFERENCED,
    Attempt,
    Host,
    Slot,
    ValueAndJacobian,
)
from paracosm.core import checks
from paracosm.core.extras import import_optional

_NUDGE = (
    1e-3  # of a scale: away from the bounds that recorded actions and clipped states lie on exactly
)
_ROWS_COMPARED = 32
_MOST_COMPARED = 4096  # answers to that end: fewer rows of a part of many inputs
_SLOPES_AGREE, _COARSE_SLOPES_AGREE = (
    1e-2,
    0.2,
)  # of the larger: 32 bits need a step that crosses kinks


class Copies:
    """Copies of a module as it is now, on the CPU and in evaluation mode, one a precision."""

    def __init__(self, module: Any, name: str) -> None:
        """Copy `module`; `name` is what messages call the function that it belongs to.

        Raises:
            BadArgument: it cannot be copied, or its parameters are not made yet.
        """
        import torch

        self._torch, self._lock = torch, threading.Lock()
        self.original = _freeze_copy(module, name, torch)
        self._by_precision: dict[Any, Any] = {}

    def in_precision(self, precision: Any) -> Any:
        """The copy whose parameters are of a torch precision."""
        with self._lock:
            if precision not in self._by_precision:
                self._by_precision[precision] = _copy_module(self.original, self._torch).to(
                    precision
                )
        return self._by_precision[precision]


@dataclasses.dataclass(frozen=True)
class AdaptedModule:
    """A function that is made of a module: `use(module)`, or `use` of a copy of the module.

    Several functions of one large module share its `copies`; each has its own without.
    """

    module: Any
    use: Callable[[Any], Callable[..., Any]]
    copies: Copies | None = None

    def __call__(self, *arguments: Any) -> Any:
        return self.use(self.module)(*arguments)


def is_torch(function: Any) -> bool:
    """Whether a function is a `torch.nn.Module`, a method of one, or made of one.

    Torch is not imported to find out.
    """
    return as_adapted_module(function) is not None


def as_adapted_module(function: Any) -> AdaptedModule | None:
    """The module that a function is or is a method of, and how it is called.

    A function that is neither gives None.
    """
    if isinstance(function, AdaptedModule):
        return function
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(function, torch.nn.Module):
        return AdaptedModule(function, lambda module: module)
    if isinstance(function, functools.partial):
        inner, bound = as_adapted_module(function.func), (function.args, function.keywords)
        return inner and AdaptedModule(
            inner.module, lambda module: functools.partial(inner.use(module), *bound[0], **bound[1])
        )
    owner, method = getattr(function, "__self__", None), getattr(function, "__func__", None)
    if method is None or not isinstance(owner, torch.nn.Module):
        return None
    return AdaptedModule(owner, lambda module: types.MethodType(method, module))


class TorchAttempt(NamedTuple):
    """How a function is asked: in a torch precision, with or without gradients."""

    precision: Any
    grad: bool


class TorchHost(Host):
    """A function of tensors `[rows, …]`.

    A module, or the module whose method it is, is copied as it is now, to the CPU and in evaluation
    mode, and again in each precision that is asked for; one that fails in 64 bits, because it casts
    for itself, is asked in 32. Other functions are asked in torch's default precision.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        takes: Sequence[Slot],
        gives: Sequence[Slot],
        *,
        shared: bool = False,
    ) -> None:
        """Take `function`.

        Args:
            function, takes, gives, shared: As of `Host`.
            name: What messages call it, after `PyTorch`.

        Raises:
            Missing: torch is not installed.
            BadArgument: the module cannot be copied, or its parameters are not made yet.
        """
        super().__init__(function, f"PyTorch {name}", takes, gives, shared=shared)
        self._torch = import_optional("torch", "torch", f"a PyTorch {name}")
        adapted = as_adapted_module(function)
        self._copies: Copies | None = None
        if adapted is not None:
            self._copies = adapted.copies or Copies(adapted.module, self.name)
        self._use: Callable[[Any], Callable[..., Any]] = (
            (lambda module: module) if adapted is None else adapted.use
        )
        self.derivatives = AUTOGRAD
        self._compared = False

    @property
    def module(self) -> Any:
        """The copied module, if the function is one; None if it is anything else."""
        if self._copies is None or not isinstance(self.function, self._torch.nn.Module):
            return None
        return self._copies.original

    def _function_in(self, dtype: Any) -> Callable[..., Any]:
        """The function with its parameters in `dtype`."""
        return (
            self.function if self._copies is None else self._use(self._copies.in_precision(dtype))
        )

    def _torch_attempts(self, dtype: Any) -> list[TorchAttempt]:
        """See `_attempts`; a few modules need gradients to answer."""
        double, single = self._torch.float64, self._torch.float32
        if self._copies is None:
            default = self._torch.get_default_dtype()
            precisions = [default, *(kind for kind in (double, single) if kind != default)]
        else:
            precisions = [double, single] if dtype == np.float64 else [single]
        return [TorchAttempt(kind, grad) for kind in precisions for grad in (False, True)]

    def _attempts(self, dtype: Any) -> Sequence[Attempt]:
        attempts = self._torch_attempts(dtype)
        return [functools.partial(self._answers_in, *attempt) for attempt in attempts]

    def _answers_in(self, precision: Any, grad: bool, x: np.ndarray) -> list[Any]:
        """The function's results as NumPy, asked in a torch precision with or without gradients."""
        with self._torch.set_grad_enabled(grad):
            results = self._call_in(precision, self._torch.tensor(x, dtype=precision))
        half = self._torch.bfloat16  # which NumPy does not have
        if any(result.dtype == half for result in results):
            self.rounding.observe(float(self._torch.finfo(half).eps))
        return [
            (result.float() if result.dtype == half else result).detach().numpy()
            for result in results
        ]

    def _call_in(self, precision: Any, x: Any) -> list[Any]:
        """The results, tensors `[rows, width]`, of the function in a torch precision."""
        try:
            function = self._function_in(precision)
        except Exception as error:
            raise failure_of(self.name, error) from error
        return self._call_function(function, x)

    def _array(self, what: str, answer: Any) -> Any:
        """A tensor on the CPU, still part of torch's graph."""
        torch = self._torch
        if not torch.is_tensor(answer):
            return torch.as_tensor(as_array(self.name, what, answer))
        require_real(
            self.name,
            what,
            answer,
            not (answer.is_complex() or answer.is_quantized),
            str(answer.dtype),
        )
        try:
            return answer.to_dense().cpu() if answer.layout != torch.strided else answer.cpu()
        except Exception as error:
            raise failure_of(self.name, error) from error

    def _value_and_jacobian(self, x: np.ndarray) -> ValueAndJacobian:
        """Torch's derivatives, or finite differences where those are missing or wrong.

        They are missing or wrong where a function changes tensors in place, uses operations without
        a derivative, or answers behind `detach` or `no_grad`.
        """
        self._decide_derivatives(x)
        result = self._by_autograd(x) if self.derivatives == AUTOGRAD else None
        if result is not None and np.isfinite(result[1]).all():
            return result
        if result is None:
            self.derivatives = DIFFERENCES
        return self._finite_differences(x)

    def _vector_jacobian_product(self, x: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        """One backward pass for the whole batch, or finite differences as for the Jacobian."""
        self._decide_derivatives(x)
        product = self._by_backward_pass(x, cotangent) if self.derivatives == AUTOGRAD else None
        few_inputs = self.inputs <= MOST_DIFFERENCED
        if product is not None and (np.isfinite(product).all() or not few_inputs):
            return product
        if product is None:
            self.derivatives = DIFFERENCES
        return super()._vector_jacobian_product(x, cotangent)

    def _decide_derivatives(self, x: np.ndarray) -> None:
        """Give up torch's derivatives if they are not those of the answers.

        They are compared once, at the first rows that are asked in 64 bits.
        """
        if self.derivatives == AUTOGRAD and not self._compared and x.dtype == np.float64:
            self._compared = True
            self.derivatives = AUTOGRAD if self._slopes_agree(x) else DIFFERENCES

    def _by_autograd(self, x: np.ndarray) -> ValueAndJacobian | None:
        """One backward pass an output for the whole batch; None if it fails.

        Rows do not depend on each other, so the gradient of a sum over rows is that of each row.
        """

        def jacobians(value: Any, leaf: Any) -> Any:
            gradients = [self._gradient_of_sum(value[:, i], leaf) for i in range(self.outputs)]
            return self._torch.stack(gradients, dim=1)

        result = self._differentiate(x, jacobians)
        if result is None:
            return None
        value, jacobian = result
        return value.numpy(), jacobian.numpy().astype(np.float64) * self._continuous

    def _by_backward_pass(self, x: np.ndarray, cotangent: np.ndarray) -> np.ndarray | None:
        """The product of cotangents with the Jacobians, `[rows, inputs]`; None if it fails."""
        weights = self._torch.tensor(cotangent, dtype=self._torch.float64)
        result = self._differentiate(
            x, lambda value, leaf: self._gradient_of_sum(value * weights, leaf)
        )
        return None if result is None else result[1].numpy().astype(np.float64) * self._continuous

    def _differentiate(
        self, x: np.ndarray, derive: Callable[[Any, Any], Any]
    ) -> tuple[Any, Any] | None:
        """Answers `[rows, outputs]` and what `derive(answers, leaf)` makes of torch's graph.

        None if the graph is not there or cannot be gone back through.
        """
        torch = self._torch
        if x.dtype not in self._working_attempt:
            self._ask(x)
        precision = self._torch_attempts(x.dtype)[self._working_attempt[x.dtype]].precision
        try:
            with torch.enable_grad():
                leaf = torch.tensor(x, dtype=precision, requires_grad=True)
                results = self._call_in(
                    precision, leaf.clone()
                )  # a leaf itself cannot be changed in place
                value = torch.cat([result.to(torch.float64) for result in results], dim=1)
                if not value.requires_grad:
                    return None
                return value.detach(), derive(value, leaf)
        except (FunctionFailed, RuntimeError, TypeError, ValueError):
            return None

    def _gradient_of_sum(self, output: Any, leaf: Any) -> Any:
        """The gradient of all of `output` together with respect to `leaf`, in the leaf's shape."""
        if not output.requires_grad:
            return self._torch.zeros_like(leaf)
        gradient = self._torch.autograd.grad(
            output.sum(), leaf, retain_graph=True, allow_unused=True
        )[0]
        return self._torch.zeros_like(leaf) if gradient is None else gradient

    def _slopes_agree(self, x: np.ndarray) -> bool:
        """Whether torch's derivatives are those of the answers: at most rows, in every column.

        A part that was detached has none for torch, and what is rounded with the gradient passed
        straight through has another than its answers.
        """
        count = max(1, min(_ROWS_COMPARED, _MOST_COMPARED // self.inputs))
        rows = np.random.default_rng(0).normal(size=(len(x), self.inputs))[:count]
        near = x[:count] + _NUDGE * self._scale * self._continuous * rows
        try:
            result, (_, expected) = self._by_autograd(near), self._finite_differences(near)
        except checks.ParacosmError:
            return True  # outside of where the function answers: nothing is known
        if result is None or not np.isfinite(result[1]).all():
            return result is not None
        slopes, expected = result[1] * self._scale, expected * self._scale
        off = np.abs(slopes - expected).max(axis=2)
        size = np.maximum(np.abs(slopes), np.abs(expected)).max(axis=2)
        noise = 100 * np.cbrt(self.rounding.eps) ** 2 * np.abs(result[0]).max(axis=0, initial=1)
        agree = _COARSE_SLOPES_AGREE if self._answers_coarsely(x.dtype) else _SLOPES_AGREE
        return bool(((off > agree * size + noise).mean(axis=0) <= 0.5).all())

    def _as_integers(self, column: Any) -> Any:
        return column.round().long()


def _freeze_copy(module: Any, name: str, torch: Any) -> Any:
    if not isinstance(module, torch.nn.Module):
        raise checks.BadArgument(
            f"the {name} is of a {type(module).__name__}; a torch.nn.Module is needed."
        )
    if any(torch.nn.parameter.is_lazy(parameter) for parameter in module.parameters()):
        raise checks.BadArgument(
            f"the {name} has parameters that are not made yet; call it once on a batch first."
        )
    try:
        frozen = _copy_module(module, torch)
        frozen.cpu()
        frozen.eval()
        for parameter in frozen.parameters():
            parameter.requires_grad_(False)
    except Exception as error:
        raise checks.BadArgument(
            f"the {name} is a {type(module).__name__} that cannot be copied"
            f" ({exception_text(error)}): give the sub-modules"
            " that answer, without what else it carries (an optimiser, a lock, a generator, a"
            " connection)."
        ) from error
    return frozen


def _copy_module(module: Any, torch: Any) -> Any:
    """A deep copy.

    Tensors that a call left behind, which torch does not copy, are taken out of their graph. A
    compiled module's own deep copy has parameters that are no leaves of a graph: it goes through
    a file in memory.
    """
    if isinstance(module, torch.jit.ScriptModule):
        file = io.BytesIO()
        torch.jit.save(module, file)
        file.seek(0)
        return torch.jit.load(file)
    tensors = [
        value
        for part in module.modules()
        for value in vars(part).values()
        if torch.is_tensor(value)
    ]
    return copy.deepcopy(
        module, {id(value): value.detach().clone() for value in tensors if not value.is_leaf}
    )
