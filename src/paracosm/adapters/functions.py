"""Several functions of one torch model, whose modules are copied together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paracosm.adapters.answers import failure_of
from paracosm.adapters.torch import Adapted, Copies, as_adapted
from paracosm.core import checks
from paracosm.core.extras import import_optional

Calls = Mapping[str, Callable[..., Any]]


class Functions:
    """Functions of batches by name: modules, methods of modules, or plain functions.

    The modules that they are of are copied once for all of them.
    """

    def __init__(
        self,
        functions: Mapping[str, Any],
        name: str,
        made: Callable[[Calls], Calls] = lambda calls: calls,
    ) -> None:
        """Take the `functions`.

        Args:
            functions: By name.
            name: What messages call what they are of.
            made: The functions that are asked, of these.

        Raises:
            Missing: torch is not installed.
            BadArgument: a module cannot be copied, or its parameters are not made yet.
        """
        self._torch = import_optional("torch", "torch", f"a {name}")
        self._plain, self._made = dict(functions), made
        self._adapted = {key: as_adapted(function) for key, function in functions.items()}
        holder = self._torch.nn.Module()
        for key, adapted in self._adapted.items():
            if adapted is not None:
                holder.add_module(key, adapted.module)
        self._holder, self._copies = holder, Copies(holder, name)

    def adapted(self, use: Callable[[Calls], Callable[..., Any]]) -> Adapted:
        """What `use` makes of the functions, to be asked in any precision."""
        return Adapted(self._holder, lambda holder: use(self._of(holder)), self._copies)

    def once(self, name: str, use: Callable[[Calls], Any]) -> Any:
        """`use` of the functions as they are now, without gradients; for a first look.

        Args:
            name: What the sentence calls it after `the`, if it fails.
            use: Of the functions.

        Raises:
            FunctionFailed: in the function's own words.
        """
        try:
            with self._torch.no_grad():
                return use(self._of(self._copies.original))
        except checks.ParacosmError:
            raise
        except (Exception, SystemExit) as error:
            raise failure_of(name, error) from error

    def zeros(self, *shape: int) -> Any:
        """Zeros in the precision of the parameters."""
        kinds = [p.dtype for p in self._holder.parameters() if p.is_floating_point()]
        return self._torch.zeros(shape, dtype=kinds[0] if kinds else None)

    def _of(self, holder: Any) -> Calls:
        """The functions, of the modules of a copy of the holder."""
        return self._made(
            {
                key: self._plain[key] if adapted is None else adapted.use(getattr(holder, key))
                for key, adapted in self._adapted.items()
            }
        )
