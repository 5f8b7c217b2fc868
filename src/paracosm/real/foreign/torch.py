"""PyTorch modules and functions, with values and derivatives from torch itself."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.real.foreign.arrays import NumpyHost
from paracosm.real.foreign.host import Both, Host, Slot


@dataclasses.dataclass(frozen=True)
class Adapted:
    """A module called in another way than by itself: `use(module)` is the function, of the module or of its copies."""

    module: Any
    use: Callable[[Any], Callable[..., Any]]

    def __call__(self, *arguments: Any) -> Any:
        return self.use(self.module)(*arguments)


def is_torch(function: Any) -> bool:
    """Whether it is a `torch.nn.Module`, a method of one or one adapted; torch is not imported to find out."""
    return _adapted(function) is not None


def _adapted(function: Any) -> Adapted | None:
    if isinstance(function, Adapted):
        return function
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(function, torch.nn.Module):
        return Adapted(function, lambda module: module)
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    return Adapted(owner, lambda module: getattr(module, name)) if isinstance(owner, torch.nn.Module) else None


class TorchHost(Host):
    """A function of tensors `[rows, …]`.

    A module, or the module whose method it is, is copied as it is now, to the CPU and in evaluation mode, and again
    in each precision that is asked for. Other functions are asked in torch's default precision.
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

        Raises:
            Missing: torch is not installed.
        """
        super().__init__(function, f"PyTorch {name}", takes, gives, shared=shared)
        try:
            import torch
        except ImportError as error:
            raise checks.Missing(f"a PyTorch {name} needs torch: pip install 'paracosm[torch]' ({error}).") from error
        self._torch, adapted = torch, _adapted(function)
        self._use: Callable[[Any], Callable[..., Any]] = (lambda module: module) if adapted is None else adapted.use
        self._original: Any = None if adapted is None else _frozen(adapted.module)
        self._modules: dict[Any, Any] = {}
        precision = np.float32 if adapted is None else np.float64
        self._differences = NumpyHost(self._on_arrays, name, takes, gives, precision=precision)
        self.derivatives = "torch autograd"

    @property
    def module(self) -> Any:
        """The module that is the function, as it was copied; None of a method, an adapted module or a function."""
        return self._original if isinstance(self.function, self._torch.nn.Module) else None

    def _in(self, dtype: Any) -> Callable[..., Any]:
        """The function with its parameters in `dtype`."""
        if self._original is None:
            return self.function
        with self._lock:
            if dtype not in self._modules:
                self._modules[dtype] = copy.deepcopy(self._original).to(dtype)
        return self._use(self._modules[dtype])

    def _precision(self, x: np.ndarray) -> Any:
        if self._original is None:
            return self._torch.get_default_dtype()
        return self._torch.float64 if x.dtype == np.float64 else self._torch.float32

    def _value(self, x: np.ndarray) -> np.ndarray:
        return self._settled(x, self._asked)

    def _asked(self, x: np.ndarray) -> np.ndarray:
        dtype = self._precision(x)
        with self._torch.no_grad():
            return self._joined(self._in(dtype), self._torch.tensor(x, dtype=dtype)).numpy()

    def _joined(self, function: Callable[..., Any], x: Any) -> Any:
        return self._torch.cat([self._as_tensor(answer, x) for answer in self._answers(function, x)], dim=1)

    def _as_tensor(self, answer: Any, like: Any) -> Any:
        return self._torch.as_tensor(answer).to(like)

    def _value_and_jacobian(self, x: np.ndarray) -> Both:
        """One backward pass an output for the whole batch, whose rows do not depend on each other.

        A function that runs under `no_grad` shows torch nothing to differentiate: finite differences then.
        """
        torch, dtype = self._torch, self._precision(x)
        with torch.enable_grad():
            given = torch.tensor(x, dtype=dtype, requires_grad=True)
            value = self._joined(self._in(dtype), given)
            if not value.requires_grad:
                self.derivatives = "finite differences"
                return self._differences.value_and_jacobian(x)
            rows = [self._row(value[:, i], given) for i in range(self.outputs)]
        jacobian = torch.stack(rows, dim=1).numpy() * self._continuous
        return self._sound(x, value.detach().numpy()), jacobian

    def _row(self, output: Any, given: Any) -> Any:
        if not output.requires_grad:
            return self._torch.zeros_like(given)
        found = self._torch.autograd.grad(output.sum(), given, retain_graph=True, allow_unused=True)[0]
        return self._torch.zeros_like(given) if found is None else found

    def _on_arrays(self, *arguments: np.ndarray) -> list[np.ndarray]:
        x = np.concatenate([argument.reshape(len(argument), -1) for argument in arguments], axis=1)
        found, first = self._asked(x), 0
        results = []
        for slot in self.gives:
            results.append(found[:, first : first + slot.width])
            first += slot.width
        return results

    def _integers(self, column: Any) -> Any:
        return column.round().long()


def _frozen(module: Any) -> Any:
    return copy.deepcopy(module).cpu().eval().requires_grad_(False)
