"""A budget spent round by round: a pilot, then what the plan of each round says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from paracosm.auditing.sensitivities import steepest
from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.keys import stage_key
from paracosm.core.mdp import Spec
from paracosm.core.policy import MarkovPolicy
from paracosm.core.precision import in_double
from paracosm.core.records import Weights
from paracosm.core.records.decisions import Bought, Curve, Decision
from paracosm.core.records.reasons import PurchaseReason
from paracosm.core.records.refusal import CurveRefused
from paracosm.learning.curves import LEAST_ROWS_OF_CURVE, learning_curve
from paracosm.learning.learn import Learned, LearnSettings
from paracosm.loop.plans import plan
from paracosm.planning.plan import PLANNED_PARTS
from paracosm.reporting.decision_words import purchase_reason

PILOT = 0.2  # of the budget; its sentence calls it a fifth
_STARTS = 64  # imagined episodes that weights are averaged over
_MOST_ROUNDS = 20  # each trains a policy anew
_UP = 1 + 1e-12  # a whole number that rounding left below itself


@dataclasses.dataclass(frozen=True)
class Purse:
    """A budget, the prices of a transition and of a reward label, and the number of rounds to spend
    it in.
    """

    budget: float
    cost_dynamics: float
    cost_reward: float
    rounds: int

    def __post_init__(self) -> None:
        checks.positive("--budget", self.budget)
        checks.positive("--cost-dynamics", self.cost_dynamics)
        checks.positive("--cost-reward", self.cost_reward)
        checks.between("--rounds with --budget", self.rounds, 2, _MOST_ROUNDS)
        least = LEAST_ROWS_OF_CURVE * (self.cost_dynamics + self.cost_reward) / PILOT
        if self.budget < least:
            raise checks.BadArgument(
                f"--budget is {self.budget:g}; at these prices a pilot of {LEAST_ROWS_OF_CURVE}"
                f" transitions and as many labels, a fifth of the budget, needs {least:g}."
            )

    def pilot(self) -> Decision:
        """The first purchase: as many transitions as labels, for a fifth of the budget."""
        count = int(PILOT * self.budget / (self.cost_dynamics + self.cost_reward) * _UP)
        why = purchase_reason(PurchaseReason.PILOT)
        return Decision(round=0, transitions=count, labels=count, plan=None, why=why)

    def left(self, data: Dataset) -> float:
        """The money that is left after `data` was bought."""
        return (
            self.budget
            - self.cost_dynamics * len(data.transitions)
            - self.cost_reward * len(data.labels)
        )

    def decide(
        self,
        round: int,
        data: Dataset,
        measure: Callable[[], tuple[dict[Bought, Curve], tuple[Weights, ...]]],
        seed: int,
    ) -> Decision:
        """Plan all the money left, and buy this round's share of that: all of it in the last.

        After the last round say what another budget of the same size would buy. Where curves and
        weights cannot be measured or support no plan, each part gets as much money.

        Args:
            round: The round, from 0; the number of rounds after the last.
            data: What is owned.
            measure: Measures learning curves and weights.
            seed: Of the plan's draws.
        """
        left, share = self._to_spend(round, data)
        try:
            split = plan(
                *measure(),
                budget=left,
                cost_dynamics=self.cost_dynamics,
                cost_reward=self.cost_reward,
                owned={"dynamics": len(data.transitions), "reward": len(data.labels)},
                seed=seed,
            )
        except checks.ParacosmError as error:
            transitions, labels = self._units(share * left / 2, share * left / 2)
            return Decision(
                round=round,
                transitions=transitions,
                labels=labels,
                plan=None,
                why=purchase_reason(PurchaseReason.EQUAL_MONEY, str(error)),
                refusal=error.refusal if isinstance(error, CurveRefused) else None,
            )
        return Decision(
            round=round,
            transitions=int(share * split.dynamics),
            labels=int(share * split.reward),
            plan=split,
            why=purchase_reason(PurchaseReason.NEXT_BUDGET) if round == self.rounds else "",
        )

    def transitions_only(self, round: int, data: Dataset) -> Decision:
        """This round's share of the money on transitions, where labels say nothing new."""
        left, share = self._to_spend(round, data)
        transitions, labels = self._units(share * left, 0.0)
        why = purchase_reason(PurchaseReason.SAME_REWARDS)
        return Decision(round=round, transitions=transitions, labels=labels, plan=None, why=why)

    def _to_spend(self, round: int, data: Dataset) -> tuple[float, float]:
        """The money that a round plans, and its share of that; after the last round all of another
        budget.
        """
        if round == self.rounds:
            return self.budget, 1.0
        return self.left(data), 1 / (self.rounds - round)

    def _units(self, dynamics: float, reward: float) -> tuple[int, int]:
        """How many transitions and labels so much money on each part buys."""
        return int(dynamics / self.cost_dynamics * _UP), int(reward / self.cost_reward * _UP)


def curves_of(
    data: Dataset, spec: Spec, *, seed: int, settings: LearnSettings
) -> dict[Bought, Curve]:
    """The learning curves on bought rows held out.

    Args:
        data: What was bought.
        spec: Of the environment.
        seed: Of the fits.
        settings: Of the fits.
    """
    return {
        part: learning_curve(part, data, spec, seed=seed, settings=settings).curve
        for part in PLANNED_PARTS
    }


def imagined_weights(
    data: Dataset, learned: Learned, policy: MarkovPolicy, *, seed: int, round: int
) -> tuple[Weights]:
    """The steepest weights of the policy's imagined episodes.

    No real step is taken: realised weights would need real episodes, which nobody paid for yet.

    Args:
        data: What was bought; imagination starts where its episodes do.
        learned: The world learned from it, with the error of its dynamics.
        policy: Its mode is imagined.
        seed, round: Of the random keys.
    """
    starts = np.asarray(data.initial)[:_STARTS]
    rewards = np.append(np.asarray(data.labels.reward), 0.0)
    error = learned.fits["dynamics"].error
    with jax.enable_x64(True):
        world, played = in_double((learned.world, policy.greedy()))
        return (
            steepest(
                world,
                played,
                starts.astype(np.float64),
                stage_key(seed, "weights", round),
                error=0.0 if error is None else error.mean,
                span=float(np.ptp(rewards)),
            ),
        )
