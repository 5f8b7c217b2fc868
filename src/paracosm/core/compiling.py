"""Programs that are compiled to run once or twice, so that compiling is most of their time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import equinox as eqx

P = ParamSpec("P")
Result = TypeVar("Result")

# A sixth of the time to compile. Factorizations and products of matrices, which are calls of a
# library, run as fast; what runs between them is slower.
_HASTE = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def compiled_in_haste(function: Callable[P, Result]) -> Callable[P, Result]:
    """`eqx.filter_jit` for a program that is made of matrix factorizations and runs seldom.

    It cannot be called inside another compiled program.
    """
    return cast(Any, eqx.filter_jit)(function, compiler_options=_HASTE)
