"""Part learners that hold the Lipschitz constant of what they learn at most at ℓ.

    learn(data, spec, parts={"dynamics": LipschitzDynamics(1.2), "reward": LipschitzReward(3.0)})

The constant is that of the audit: states are divided by `spec.state_scale`, actions and rewards are
in the environment's units, and that of a function of several arguments is the largest by argument,
for every one of which it holds everywhere.

Dynamics `s' = s + change` with a network for the change cannot get below 1, and near 1 leave the
network nothing, since a bound on the network says nothing of what it takes from the identity. So
the identity becomes a trained linear map `A` of state and action, and the sum is drawn back
together,

    F(x) = t (A x + N(x)) + b,  t = min(1, ℓ / L),  L = max over arguments of averaged_bound(N, A)

with `b` free and `N` the network without its last bias. Since L is positively homogeneous in `A`
and in the last layer of `N`, the constant of F is at most `t L ≤ ℓ`; the clip to the domain is
1-Lipschitz. An ℓ below 1 makes a contraction of it, at 1 a rotation or a shift is still free, and
from the ℓ on that the data need `t` is 1 and nothing is held. The reward is the same without `A`.

While it trains, the norms in L are Schatten norms, which are no less than the spectral ones; once
it is trained, L is that of the exact norms in 64 bits and t the smaller of the two. The audit takes
the least of several bounds, L among them: it never certifies more than ℓ, but for rounding.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.averaged_activations import Norm, averaged_bound, smaller_gram, spectral
from paracosm.core.data import Dataset
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.networks import MLP
from paracosm.core.precision import in_double
from paracosm.core.records import PartFit
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.learning.part_learner import (
    PartLearner,
    describe_unfitted,
    dynamics_problem,
    reward_problem,
)
from paracosm.learning.parts import CappedDynamics, Constant
from paracosm.learning.problem import Wrapping, solve
from paracosm.learning.scaling import Scaling
from paracosm.learning.settings import LearnSettings

# Of a Gram matrix: its 64th power gives a norm at most `width^(1/128)` too large, 3% at 64 neurons
# that are all alike.
_SQUARINGS = 6
TINY_BOUND = 1e-12  # what a bound is at least: 1 over its square is still a number of 32 bits
_TINY = 1e-30  # what a norm's square is at least while it trains
# Of a bound, what rounding weights and units to 32 bits can add: some numbers of 6e-8 each.
_ROUNDING = 5e-7


class LipschitzDynamics(PartLearner):
    """Dynamics whose certified Lipschitz constant is at most `constant`, from bought transitions.

    With discrete actions only the constant in the state is held. One network is fitted, whatever
    `settings.fit.members` says: the mean of several is certified less tightly than each.

    Attributes:
        constant: ℓ, in scaled states; above 0.
        settings: Settings of the fit.
    """

    constant: float = eqx.field(static=True)
    settings: LearnSettings = eqx.field(static=True, default_factory=LearnSettings)

    def __check_init__(self) -> None:
        checks.positive("constant", self.constant)

    def fit(self, data: Dataset, spec: Spec, key: PRNGKey) -> tuple[Callable[..., Any], PartFit]:
        problem, size = dynamics_problem(data, spec, self.settings.margin), spec.state_size
        arguments = _Arguments.of(spec, "state", "action")

        def wrap(networks: MLP, output_scaling: Scaling) -> CappedNetwork:
            scale = np.asarray(networks.scale)
            outward = (output_scaling.scale / np.asarray(spec.state_scale)).astype(np.float32)
            identity = np.zeros((len(scale), size, scale.shape[1]), np.float32)
            identity[:, range(size), range(size)] = scale[:, :size] / output_scaling.scale
            return arguments.cap(networks, identity, outward, self.constant)

        def build(networks: CappedNetwork, center: Array, scale: Array) -> CappedDynamics:
            linear, shifted = networks.linear_map(np.asarray(center), np.asarray(scale))
            domain = problem.build(networks.network, center, scale).domain
            return CappedDynamics(networks.network, spec.action, linear, shifted, scale, domain)

        capped = problem._replace(wrapping=Wrapping(wrap, _draw_back), build=build)
        return solve(capped, spec, key, _single(self.settings))


class LipschitzReward(PartLearner):
    """A reward whose certified Lipschitz constant is at most `constant`, from bought labels.

    Attributes:
        constant: ℓ, in units of reward by scaled state, or by action; above 0.
        settings: Settings of the fit; see `LipschitzDynamics`.
    """

    constant: float = eqx.field(static=True)
    settings: LearnSettings = eqx.field(static=True, default_factory=LearnSettings)

    def __check_init__(self) -> None:
        checks.positive("constant", self.constant)

    def fit(self, data: Dataset, spec: Spec, key: PRNGKey) -> tuple[Callable[..., Any], PartFit]:
        problem = reward_problem(data.labels, data.episode[data.has_label], spec)
        reward = problem.targets[:, 0]
        if np.ptp(reward) == 0:
            value = Constant(jnp.asarray(reward[0], jnp.float32))
            return value, describe_unfitted("reward", "constant", len(reward))
        arguments = _Arguments.of(spec, "state", "action", "next_state")

        def wrap(networks: MLP, output_scaling: Scaling) -> CappedNetwork:
            return arguments.cap(networks, None, output_scaling.scale, self.constant)

        def unwrap(networks: CappedNetwork) -> MLP:
            return _draw_back(networks).network

        capped = problem._replace(wrapping=Wrapping(wrap, unwrap))
        return solve(capped, spec, key, _single(self.settings))


class CappedNetwork(eqx.Module):
    """A network and a linear map beside it, drawn back together so that a constant is held; it
    stands for the network while a part is fitted. `[inputs] -> [outputs]`, both as the network has
    them.

    Attributes:
        network: N; its last bias is what is not drawn back.
        linear: A, `[outputs, inputs]` of the standardised inputs; None of a reward.
        identity: What the targets leave out of the map whose constant is held, as `linear`.
        inward: By how much a standardised input moves with its argument, `[inputs]`.
        outward: By how much the held map moves with an output, `[outputs]`.
        cap: ℓ; infinite once the factor is part of the weights.
        ends: The first and the end of each argument among the inputs.
    """

    network: MLP
    linear: Float[Array, "*member outputs inputs"] | None
    identity: Float[Array, "*member outputs inputs"] | None
    inward: Float[Array, "*member inputs"]
    outward: Float[Array, "*member outputs"]
    cap: Float[Array, "*member"]
    ends: tuple[tuple[int, int], ...] = eqx.field(static=True)

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        bias, factor = self.network.biases[-1], self.factor(schatten)
        without_bias = self.network(x) - bias
        if self.linear is None or self.identity is None:
            return factor * without_bias + bias
        center, scale, identity = jax.lax.stop_gradient(
            (self.network.center, self.network.scale, self.identity)
        )
        z = (x - center) / scale
        return factor * (self.linear @ z + without_bias) + bias - identity @ z

    def factor(self, norm: Norm) -> Scalar:
        """`t = min(1, ℓ / L)`."""
        bound = jnp.maximum(self.bound(norm), TINY_BOUND)
        return jnp.minimum(1.0, jax.lax.stop_gradient(self.cap) / bound)

    def bound(self, norm: Norm) -> Scalar:
        """L, the largest over the arguments."""
        inward, outward = jax.lax.stop_gradient((self.inward, self.outward))
        first, *rest = (jnp.asarray(weight).T for weight in self.network.weights)
        *middle, last = rest
        first, last = first * inward, outward[:, None] * last
        beside = None if self.linear is None else outward[:, None] * self.linear * inward
        slopes = [(jnp.zeros_like(bias), jnp.ones_like(bias)) for bias in self.network.biases[:-1]]
        bounds = [
            averaged_bound(
                (first[:, start:end], *middle, last),
                slopes,
                beside=None if beside is None else beside[:, start:end],
                norm=norm,
            )
            for start, end in self.ends
        ]
        return jnp.max(jnp.stack(bounds))

    def draw_back(self, factor: float) -> CappedNetwork:
        """The network with the factor as part of its weights, and no cap any more."""
        *earlier, last = self.network.weights
        network = eqx.tree_at(
            lambda n: n.weights, self.network, (*earlier, np.float32(factor) * last)
        )
        linear = None if self.linear is None else np.float32(factor) * self.linear
        return dataclasses.replace(
            self, network=network, linear=linear, cap=np.full_like(self.cap, np.inf)
        )

    def linear_map(self, center: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`linear` and `center` of the `CappedDynamics` that a stack of one stands for, its factor
        part of its weights.

        Args:
            center, scale: Centre and scale of the change of state, `[state]`.
        """
        center_in, scale_in = np.asarray(self.network.center)[0], np.asarray(self.network.scale)[0]
        linear = scale[:, None] * np.asarray(self.linear, np.float64)[0] / scale_in
        shifted = center + center_in[: len(center)] - linear @ center_in
        return linear.astype(np.float32), shifted.astype(np.float32)


def schatten(matrix: Array, size: Array) -> Scalar:
    """A norm that is no less than the spectral one and close to it, `(tr (MᵀM)^q)^(1/2q)`, q = 64.

    Powers of the Gram matrix by squaring (Delattre et al. 2023); the gradient is that of the
    largest singular value.

    Args:
        matrix: M, `[outputs, inputs]`.
        size: Not used: rounding is allowed for once training is done.
    """
    gram = smaller_gram(matrix)
    power, log = gram, jnp.zeros(())
    for n in range(_SQUARINGS + 1):
        power = power @ power if n else power
        trace = jnp.maximum(jnp.trace(power), _TINY)
        power, log = power / trace, 2 * log + jnp.log(trace)
    power, value = jax.lax.stop_gradient((power, jnp.exp(log / 2 ** (_SQUARINGS + 1))))
    quotient = jnp.maximum(jnp.sum(power * gram), _TINY)
    return value * jnp.sqrt(quotient / jax.lax.stop_gradient(quotient))


class _Arguments(NamedTuple):
    """What a part takes: by how much each input moves with its argument, `[inputs]`, and the first
    and the end of each argument whose constant is held: of all but a choice among actions.
    """

    units: np.ndarray
    ends: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, spec: Spec, *names: str) -> _Arguments:
        """Arguments of these names: `state`, `action`, `next_state`."""
        scale = np.asarray(spec.state_scale, np.float64)
        units = [_action_units(spec.action) if name == "action" else scale for name in names]
        ends = itertools.pairwise(np.cumsum([0, *map(len, units)]).tolist())
        held = [name != "action" or isinstance(spec.action, Box) for name in names]
        return cls(np.concatenate(units), tuple(itertools.compress(ends, held)))

    def cap(
        self, networks: MLP, identity: np.ndarray | None, outward: np.ndarray, constant: float
    ) -> CappedNetwork:
        """Untrained networks as the capped ones that are trained, all `[member, …]`.

        Args:
            networks: Networks, beside which a linear map is put that starts as the identity.
            identity: What the targets leave out; None if they leave out nothing, as a reward's.
            outward: By how much the held map moves with an output, `[outputs]`.
            constant: ℓ.
        """
        scale = np.asarray(networks.scale)
        inward = (self.units / scale).astype(np.float32)
        outward = np.tile(np.asarray(outward, np.float32), (len(scale), 1))
        cap = np.full(len(scale), constant, np.float32)
        return CappedNetwork(
            networks,
            linear=identity,
            identity=identity,
            inward=inward,
            outward=outward,
            cap=cap,
            ends=self.ends,
        )


def _action_units(space: Box | Discrete) -> np.ndarray:
    """By how much each input of an encoded action moves with the action, `[inputs]`."""
    if isinstance(space, Discrete):
        return np.ones(space.n)
    return 2 / (np.asarray(space.high, np.float64) - np.asarray(space.low))


@eqx.filter_jit
def _factor(network: CappedNetwork, norm: Norm) -> Scalar:
    return network.factor(norm)


def _draw_back(networks: CappedNetwork) -> CappedNetwork:
    """A stack of one with its factor as part of its weights: that of the exact norms, if it is
    smaller than the one it was trained with.
    """
    single = jax.tree.map(lambda leaf: leaf[0], networks)
    trained = float(_factor(single, schatten))
    with jax.enable_x64(True):
        exact = float(_factor(in_double(single), spectral))
    factor = min(trained, exact if exact == 1 else exact * (1 - _ROUNDING))
    return networks.draw_back(factor)


def _single(settings: LearnSettings) -> LearnSettings:
    return dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, members=1))
