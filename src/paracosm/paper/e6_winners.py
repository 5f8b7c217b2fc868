"""Whether the labelling predicted to be best is best, and what following it costs; no JAX."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core.records import Estimate
from paracosm.paper import statistics
from paracosm.paper.study import Answer


class WayComparison(NamedTuple):
    """A budget that buys several ways: the one predicted to be best, the best measured, and errors
    of fresh rollouts.

    The errors are blocks `[block]` by way, of the ways that the budget buys.
    """

    predicted: int
    best: int
    fresh: dict[int, np.ndarray]

    def clear(self) -> bool:
        """Whether the predicted way is best, beyond chance."""
        return all(
            self._over(way, self.predicted).low > 1 for way in self.fresh if way != self.predicted
        )

    def wrong(self) -> bool:
        """Whether the one that was measured to be best is better than the predicted one, beyond
        chance.
        """
        return self.best != self.predicted and self._over(self.predicted, self.best).low > 1

    def excess(self) -> np.ndarray:
        """What following the prediction costs, as a share of the best one's mean error,
        `[block]`.
        """
        return (self.fresh[self.predicted] - self.fresh[self.best]) / self.fresh[self.best].mean()

    def _over(self, way: int, reference: int) -> Estimate:
        return statistics.paired_ratio(self.fresh[way].tolist(), self.fresh[reference].tolist())


def choices_of(answer: Answer) -> list[WayComparison]:
    """The budgets of a price list that leave a choice."""
    choices = []
    columns = (answer.result[name] for name in ("predicted", "measured", "again"))
    for predicted, errors, fresh in zip(*columns, strict=True):
        ways = [i for i, error in enumerate(predicted) if error >= 0]
        if len(ways) > 1:
            first, best = (min(ways, key=lambda i: scores[i]) for scores in (predicted, errors))
            choices.append(
                WayComparison(first, best, {i: np.asarray(fresh[i], float) for i in ways})
            )
    return choices


def followed(answers: Sequence[Answer]) -> tuple[Estimate, Estimate]:
    """How often the predicted way was best where there was a choice, and what following it cost on
    fresh rollouts.

    The first goes from where it is best beyond chance to where none is better beyond chance. The
    budgets of a price list share their rollouts: the second's interval is made of their mean in
    each block.
    """
    lists = [choices_of(answer) for answer in answers]
    choices = [choice for comparisons in lists for choice in comparisons]
    n, hits = len(choices), sum(choice.predicted == choice.best for choice in choices)
    clear, wrong = (
        sum(getattr(choice, name)() for choice in choices) for name in ("clear", "wrong")
    )
    costs = [
        np.mean([choice.excess() for choice in comparisons], axis=0).tolist()
        for comparisons in lists
        if comparisons
    ]
    cost = statistics.pooled(costs, [len(comparisons) for comparisons in lists if comparisons])
    return (
        Estimate(
            hits / n,
            min(clear, hits) / n,
            1 - wrong / n,
            n,
            "best beyond chance to none better beyond chance",
        ),
        dataclasses.replace(
            cost, method="mean of these settings, 95% Student t of blocks of rollouts"
        ),
    )
