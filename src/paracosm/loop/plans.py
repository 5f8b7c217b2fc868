"""The verbs that plan purchases: `planning` decides, `reporting` says it in words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from paracosm.planning import labels, mixture
from paracosm.planning import plan as split
from paracosm.reporting import label_words, plan_words

P = ParamSpec("P")
PlanRecord = TypeVar("PlanRecord")


def _in_words(
    decide: Callable[P, PlanRecord], in_words: Callable[[PlanRecord], PlanRecord]
) -> Callable[P, PlanRecord]:
    """The same verb, whose record has its sentences too."""

    @functools.wraps(decide)
    def verb(*args: P.args, **options: P.kwargs) -> PlanRecord:
        return in_words(decide(*args, **options))

    return verb


plan = _in_words(split.plan, plan_words.with_sentences)
plan_labels = _in_words(labels.plan_labels, label_words.with_sentences)
plan_mixture = _in_words(mixture.plan_mixture, label_words.mixture_with_sentences)
