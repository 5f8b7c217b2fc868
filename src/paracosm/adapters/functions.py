"""Several functions of one torch model, whose modules are copied together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paracosm.adapters.answers import failure_of
from paracosm.adapters.torch import AdaptedModule, Copies, as_adapted_module
from paracosm.core import checks
from paracosm.core.extras import import_optional

Calls = Mapping[str, Callable[..., Any]]


class Functions:
    """Functions of batches by name: modules, methods of modules, or plain functions.

    Their modules are copied once for all of them.
    """

    def __init__(
        self,
        functions: Mapping[str, Any],
        name: str,
        derive: Callable[[Calls], Calls] = lambda calls: calls,
    ) -> None:
        """Take the `functions`.

        Args:
            functions: The functions by name.
            name: What messages call the model that they are of.
            derive: Makes of these the functions that are asked.

        Raises:
            Missing: torch is not installed.
            BadArgument: a module cannot be copied, or its parameters are not made yet.
        """
        self._torch = import_optional("torch", "torch", f"a {name}")
        self._plain, self._derive = dict(functions), derive
        self._modules = {key: as_adapted_module(function) for key, function in functions.items()}
        holder = self._torch.nn.Module()
        for key, adapted in self._modules.items():
            if adapted is not None:
                holder.add_module(key, adapted.module)
        self._holder, self._copies = holder, Copies(holder, name)

    def adapt(self, use: Callable[[Calls], Callable[..., Any]]) -> AdaptedModule:
        """The function that `use` makes of the functions, to be asked in any precision."""
        return AdaptedModule(
            self._holder, lambda holder: use(self._functions_of(holder)), self._copies
        )

    def call_once(self, name: str, use: Callable[[Calls], Any]) -> Any:
        """What `use` gives of the functions as they are now, without gradients; for a first look.

        Args:
            name: What the sentence calls it after `the`, if it fails.
            use: Calls some of the functions.

        Raises:
            FunctionFailed: in the function's own words.
        """
        try:
            with self._torch.no_grad():
                return use(self._functions_of(self._copies.original))
        except checks.ParacosmError:
            raise
        except (Exception, SystemExit) as error:
            raise failure_of(name, error) from error

    def zeros(self, *shape: int) -> Any:
        """Zeros in the precision of the parameters."""
        kinds = [p.dtype for p in self._holder.parameters() if p.is_floating_point()]
        return self._torch.zeros(shape, dtype=kinds[0] if kinds else None)

    def _functions_of(self, holder: Any) -> Calls:
        """The functions that are asked, made of the modules of a copy of the holder."""
        return self._derive(
            {
                key: self._plain[key] if adapted is None else adapted.use(getattr(holder, key))
                for key, adapted in self._modules.items()
            }
        )
