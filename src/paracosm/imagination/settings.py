"""How a policy is trained in imagination."""

from __future__ import annotations

import dataclasses

from paracosm.core import checks
from paracosm.core.records import Record
from paracosm.imagination.policy_gradient import BASELINES, WEIGHTINGS, Baseline, Weighting

_RANGES = {
    **dict.fromkeys(
        ("rollouts", "horizon", "value_steps", "check", "patience", "most_steps", "width"),
        checks.COUNT,
    ),
    "depth": checks.COUNT_OR_ZERO,
    **dict.fromkeys(("visited", "trace"), checks.SHARE),
    **dict.fromkeys(("entropy", "least_gain"), checks.NON_NEGATIVE_32),
    "clip": checks.POSITIVE_32,
}


@dataclasses.dataclass(frozen=True)
class ImagineSettings(Record):
    """How a policy is trained in imagination.

    Attributes:
        rollouts: Imagined rollouts of a gradient step.
        horizon: Steps of a rollout; shorter than an episode, it ends in a bootstrapped value.
        visited: Share of rollouts that start in visited states, the rest in initial ones.
        weighting: Time weighting of REINFORCE: `discounted`, `c_t = γ^t`, or `plain`, `c_t = 1`.
        baseline: `value`, `leave-one-out` or `none`.
        trace: λ of the returns that the learned value completes, whatever the baseline; 1 for plain
            returns.
        rates: Adam's learning rates, used one after the other, each until the imagined return
            stalls.
        entropy: Weight of the entropy bonus beside advantages of unit spread.
        clip: Largest global norm of the gradient per step taken.
        value_steps: Steps of the value's regression a gradient step, each on an interleaved share
            of the time steps.
        check: Training steps between two evaluations in the world.
        patience: Evaluations without progress before the next rate, or after the last one the end.
        least_gain: Gain of imagined return that counts as progress, as a share of the range seen so
            far.
        most_steps: Training steps at the most.
        width: Neurons of each hidden layer of policy and value.
        depth: How many hidden layers these have.
        squash: Gaussian policies are squashed by tanh, else clipped.
    """

    rollouts: int = 512
    horizon: int = 30
    visited: float = 0.5
    weighting: Weighting = "plain"
    baseline: Baseline = "value"
    trace: float = 0.95
    rates: tuple[float, ...] = (5e-3, 1e-3)
    entropy: float = 1e-3
    clip: float = 0.5
    value_steps: int = 4
    check: int = 10
    patience: int = 25
    least_gain: float = 0.01
    most_steps: int = 800
    width: int = 64
    depth: int = 2
    squash: bool = False

    def __post_init__(self) -> None:
        checks.one_of("weighting", self.weighting, WEIGHTINGS)
        checks.one_of("baseline", self.baseline, BASELINES)
        checks.of_kind("squash", self.squash, bool, "True or False")
        checks.fields(self, _RANGES)
        checks.count("rollouts", self.rollouts, 2 if self.baseline == "leave-one-out" else 1)
        checks.count("most_steps", self.most_steps, self.check)
        object.__setattr__(self, "rates", checks.rates("rates", self.rates))
