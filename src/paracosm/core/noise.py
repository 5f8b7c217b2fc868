"""What is wrong with a reward label: models of noise and of bias, `r̂ = r + b(s, a, s') + η`.

Noise η of mean 0 and variance σ² that is independent from step to step leaves the mean of a
REINFORCE gradient as it is and adds `(σ²/K) E Σ_t' ‖v_t'‖²` to the variance of one from K rollouts,
with `v_t' = Σ_{t≤t'} γ^{t'-t} ∇ log π(a_t|s_t)`. A bias b moves the mean, with time weights γ^t by
the gradient of `E Σ_t γ^t b(s_t, a_t, s_{t+1})`, and no number of rollouts removes that.

Every model acts on one label and gives it back changed; its exact mean shift and variance, given
the true reward, are functions beside it, so that what is said of noisy labels can be checked.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import RewardLabels
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State


class LabelNoise(eqx.Module):
    """How a label differs from the true reward of `(s, a, s')`; independent from label to label."""

    @abc.abstractmethod
    def apply(
        self, reward: Scalar, state: State, action: Action, next_state: State, key: PRNGKey
    ) -> Scalar:
        """A label of one step.

        Args:
            reward: The true reward of the step; labels are in its unit.
            state, action, next_state: The step `(s, a, s')`, in the environment's units.
            key: Of this label's noise.
        """

    @abc.abstractmethod
    def mean_shift(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """Mean of the label less the true reward.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """

    @abc.abstractmethod
    def variance(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """Variance of the label, in squared units of the reward.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """


class _Centred(LabelNoise):
    """Noise of mean zero: `deviation` times a standard draw."""

    @abc.abstractmethod
    def deviation(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """Standard deviation of the label.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """

    def draw(self, key: PRNGKey) -> Scalar:
        """A number of mean 0 and variance 1."""
        return jax.random.normal(key)

    def apply(
        self, reward: Scalar, state: State, action: Action, next_state: State, key: PRNGKey
    ) -> Scalar:
        """`r + deviation · draw`.

        Args:
            reward, state, action, next_state, key: As of `LabelNoise.apply`.
        """
        return reward + self.deviation(reward, state, action, next_state) * self.draw(key)

    def mean_shift(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """0.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return jnp.zeros(())

    def variance(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """`deviation²`.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return self.deviation(reward, state, action, next_state) ** 2


class GaussianNoise(_Centred):
    """Normal noise of standard deviation `sd` on every label."""

    sd: float

    def __check_init__(self) -> None:
        checks.at_least("the label noise's sd", self.sd, 0)

    def deviation(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """`sd` on every label.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return jnp.asarray(self.sd, float)


class HeavyTailedNoise(_Centred):
    """Student's t noise of standard deviation `sd`, with `freedom` degrees of freedom, above 2."""

    sd: float
    freedom: float = 3.0

    def __check_init__(self) -> None:
        checks.at_least("the label noise's sd", self.sd, 0)
        if not self.freedom > 2:
            raise checks.BadArgument(
                f"the label noise's freedom is {self.freedom:g}; it must exceed 2 to have a"
                " variance."
            )

    def draw(self, key: PRNGKey) -> Scalar:
        return jax.random.t(key, self.freedom) * math.sqrt((self.freedom - 2) / self.freedom)

    def deviation(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """`sd` on every label.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return jnp.asarray(self.sd, float)


class ProportionalNoise(_Centred):
    """Normal noise of standard deviation `base + slope · |r|`."""

    base: float
    slope: float

    def __check_init__(self) -> None:
        checks.at_least("the label noise's base", self.base, 0)
        checks.at_least("the label noise's slope", self.slope, 0)

    def deviation(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """`base + slope · |r|`.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return self.base + self.slope * jnp.abs(reward)


class LocalNoise(_Centred):
    """Normal noise whose standard deviation is a function `sd(s, a, s')`."""

    sd: Callable[[State, Action, State], Scalar]

    def deviation(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """`sd(s, a, s')`.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return self.sd(state, action, next_state)


class Bias(LabelNoise):
    """Labels off by a constant, or by a function `shift(s, a, s')`, without noise."""

    shift: float | Callable[[State, Action, State], Scalar]

    def apply(
        self, reward: Scalar, state: State, action: Action, next_state: State, key: PRNGKey
    ) -> Scalar:
        """`r + shift`.

        Args:
            reward, state, action, next_state, key: As of `LabelNoise.apply`.
        """
        return reward + self.mean_shift(reward, state, action, next_state)

    def mean_shift(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """`shift`, or `shift(s, a, s')`.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        shift = self.shift
        return shift(state, action, next_state) if callable(shift) else jnp.asarray(shift, float)

    def variance(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """0.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return jnp.zeros(())


class Flips(LabelNoise):
    """Rewards of the two values `low` and `high`, called wrongly with `probability` below a half.

    A flip is noise *and* bias: given the reward r, the label's mean is `(1 - 2p) r + p (low +
    high)`, its variance `p (1 - p) (low + high - 2r)²`. `undone` removes the bias.
    """

    low: float
    high: float
    probability: float

    def __check_init__(self) -> None:
        if not 0 <= self.probability < 0.5:
            raise checks.BadArgument(
                f"the probability of a flip is {self.probability:g}; it must lie in [0, 0.5), or"
                " labels tell nothing."
            )

    def apply(
        self, reward: Scalar, state: State, action: Action, next_state: State, key: PRNGKey
    ) -> Scalar:
        """`low + high - r` with `probability` p, else r.

        Args:
            reward, state, action, next_state, key: As of `LabelNoise.apply`.
        """
        flipped = jax.random.bernoulli(key, self.probability)
        return jnp.where(flipped, self.low + self.high - reward, reward)

    def mean_shift(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """`p (low + high - 2r)`.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return self.probability * (self.low + self.high - 2 * reward)

    def variance(self, reward: Scalar, state: State, action: Action, next_state: State) -> Scalar:
        """`p (1 - p) (low + high - 2r)²`.

        Args:
            reward, state, action, next_state: As of `LabelNoise.apply`.
        """
        return self.probability * (1 - self.probability) * (self.low + self.high - 2 * reward) ** 2

    def undone(self, label: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """`(label - p (low + high))/(1 - 2p)`: unbiased for the reward, its deviation `1/(1 - 2p)`
        times larger.
        """
        return (label - self.probability * (self.low + self.high)) / (1 - 2 * self.probability)


def mislabelled(labels: RewardLabels, noise: LabelNoise, key: PRNGKey) -> RewardLabels:
    """Bought labels as `noise` would have given them, `[rows]`; a row keeps its error when rows
    come in after it.
    """
    return dataclasses.replace(labels, reward=np.asarray(_labels(labels, noise, key), np.float64))


@eqx.filter_jit
def _labels(rows: RewardLabels, noise: LabelNoise, key: PRNGKey) -> Float[Array, " rows"]:
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(len(rows)))
    reward = jnp.asarray(rows.reward, float)
    return jax.vmap(noise.apply)(reward, rows.state, rows.action, rows.next_state, keys)
