"""The verbs that plan purchases: `planning` decides, `reporting` says it in words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from paracosm.planning import labels, mixture
from paracosm.planning import plan as split
from paracosm.reporting import label_words, plan_words

P = ParamSpec("P")
AnyPlan = TypeVar("AnyPlan")


def _in_words(
    decide: Callable[P, AnyPlan], in_words: Callable[[AnyPlan], AnyPlan]
) -> Callable[P, AnyPlan]:
    """The same verb, whose record has its sentences too."""

    @functools.wraps(decide)
    def verb(*args: P.args, **options: P.kwargs) -> AnyPlan:
        return in_words(decide(*args, **options))

    return verb


plan = _in_words(split.plan, plan_words.in_words)
plan_labels = _in_words(labels.plan_labels, label_words.in_words)
plan_mixture = _in_words(mixture.plan_mixture, label_words.mixture_in_words)
