"""TorchRL and tensordict modules, which read and write tensors by key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from paracosm.adapters.torch import AdaptedModule
from paracosm.core import checks
from paracosm.core.extras import import_optional

Key = str | tuple[str, ...]


def by_keys(module: Any, *, reads: Sequence[Key], writes: Sequence[Key]) -> AdaptedModule:
    """A `TensorDictModule` as a function of tensors `[batch, …]` that gives tensors.

    Probabilistic modules are asked for their deterministic answer.

    Args:
        module: takes a `TensorDict` and gives one.
        reads: the keys of the arguments, in order, such as `("observation", "action")`.
        writes: the keys of the results, in order, such as `(("next", "observation"), ("next",
            "reward"))`.

    Raises:
        Missing: tensordict is not installed.
    """
    tensordict = import_optional("tensordict", "torchrl", "by_keys")
    interaction = import_optional("tensordict.nn", "torchrl", "by_keys")

    def use(module: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> list[Any]:
            inputs = tensordict.TensorDict(batch_size=[len(arguments[0])])
            for key, argument in zip(reads, arguments, strict=True):
                inputs[key] = argument
            with interaction.set_interaction_type(interaction.InteractionType.DETERMINISTIC):
                outputs = module(inputs)
            return [_read(outputs, key) for key in writes]

        return call

    return AdaptedModule(module, use)


def _read(outputs: Any, key: Key) -> Any:
    """The tensor that a module wrote.

    Raises:
        BadData: it wrote none with this key.
    """
    answer = outputs.get(key, None)
    if answer is None:
        keys = ", ".join(map(repr, outputs.keys(include_nested=True, leaves_only=True)))
        raise checks.BadData(f"the module writes no {key!r}; it writes {keys}.")
    return answer
