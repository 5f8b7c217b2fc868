"""Gradients through the world: short branches of imagination, completed by a learned value.

From a start the policy plays a few steps in a world whose members are drawn anew at every step, for
each group of branches apart. Every other start is a state of the data. The others are where
imagined episodes of the policy have got to, a branch further at each training step: data need not
have been there yet, and a value that is wrong there can be put right before the policy fails for
real.
With the reward `r`, the chance `p` that a step ends the episode and the value `v`, the targets are
the λ-returns

    G_t = r_t + γ (1 - p_t) ((1-λ) v(s_{t+1}) + λ G_{t+1})

Continuous actions: the policy climbs the mean of `G_0`, with `α H` added to its rewards, `H` its
entropy, by its derivative through policy, dynamics, reward and end (value gradients; Heess et al.
2015, Clavera et al. 2020). The sum of `G_t` over a branch (Hafner et al. 2020) would count late
rewards once for each state before them, and acts too much. A choice among discrete actions has no
derivative, but the world can be asked for all of them: the policy climbs, exactly, the mean of
`Σ_a π(a|s) (r + γ (1-p) v(s'))(s, a) + α H` over the states of a branch.

The value is the smaller of two networks (Fujimoto et al. 2018), which learn `G_t`; what completes
branches is their moving average, and targets are kept within what the recorded rewards allow. `α`
is small and fixed where actions are continuous; of discrete ones it keeps the entropy at a level
(Haarnoja et al. 2018), since a choice that is certain has no derivative left. The policy that is
evaluated is the moving average of the one that is trained.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.devices import AXIS, on_all, step_on_all
from paracosm.core.learner import Learner, Metrics, Problem
from paracosm.core.mdp import Box, Discrete
from paracosm.core.members import doubt
from paracosm.core.networks import MLP, rescaled
from paracosm.core.policy import Categorical, Mode, SquashedGaussian
from paracosm.core.predicted import Bootstrapped
from paracosm.core.recordings import constant
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.arguments import check_action_form, check_derivatives
from paracosm.imagination.branches import (
    Branches,
    Keys,
    TwinValue,
    branch_returns,
    imagined_branches,
    value_bounds,
    value_scale,
)
from paracosm.imagination.value_network import ValueNetwork

_RANGES = {
    **dict.fromkeys(
        ("branches", "groups", "steps", "choice_steps", "width", "depth"), checks.COUNT
    ),
    **dict.fromkeys(("lambda_", "value_average", "policy_average"), checks.SHARE),
    **dict.fromkeys(("value_rate", "clip"), checks.POSITIVE_32),
    "alpha": checks.Range(math.exp(-9), 1),
    "choice_entropy": checks.NON_NEGATIVE_32,
}
# Of `log α`: below e^-9 of the size of a reward the bonus is nothing, above 1 it is the task.
_LOG_ALPHA = (-9.0, 0.0)
_FIRST_ALPHA = 0.1  # of discrete actions
# In policy rates: α has one number to learn and must follow the size of what is at stake.
ALPHA_RATE = 4.0


@dataclasses.dataclass(frozen=True)
class PathwiseSettings:
    """How a policy is trained by gradients through the world.

    Attributes:
        branches: Imagined branches a training step.
        groups: Groups of equally many branches, each in members that are drawn for it: one group
            would climb what one member of the world says.
        steps: Of a branch of continuous actions. Longer ones carry the model's errors further,
            shorter ones lean more on the value.
        choice_steps: Of a branch of discrete actions, each of which asks for all of them: Acrobot
            has -65 with 3 and -67 with 5 steps, which take half as long again.
        lambda_: λ of the returns.
        value_rate: The value's learning rate as a multiple of the policy's.
        value_average, policy_average: Weights of the new networks in their moving averages.
        alpha: α of continuous actions, in sizes of a reward when these were smallest. One that
            keeps the entropy at a level rises where the policy is drawn to the bounds of the box,
            and buries the task.
        choice_entropy: Entropy that α keeps of a discrete choice, as a share of the uniform one's.
        clip: Largest global norm of a gradient.
        width, depth: Hidden layers of policy and value.
    """

    branches: int = 128
    groups: int = 4
    steps: int = 5
    choice_steps: int = 3
    lambda_: float = 0.9
    value_rate: float = 2.0
    value_average: float = 0.01
    policy_average: float = 0.005
    alpha: float = 0.05
    choice_entropy: float = 0.1
    clip: float = 1.0
    width: int = 128
    depth: int = 2

    def __post_init__(self) -> None:
        checks.fields(self, _RANGES)
        if self.branches % self.groups:
            raise checks.BadArgument(
                f"branches is {self.branches}; a multiple of groups, {self.groups}, is needed."
            )

    def branch_steps(self, action: Box | Discrete) -> int:
        """Steps of a branch with such actions."""
        return self.choice_steps if isinstance(action, Discrete) else self.steps


class PathwiseState(NamedTuple):
    """What training changes: the policy and its moving average, the two value networks and theirs,
    `log α`, the states of the optimisers, the size of a reward, which is the unit of values and of
    α, and where the imagined episodes are (`reached`, `[branch, state]`) that go on (`going`,
    `[branch]`).
    """

    policy: Categorical | SquashedGaussian
    slow_policy: Categorical | SquashedGaussian
    values: tuple[ValueNetwork, ValueNetwork]
    slow_values: tuple[ValueNetwork, ValueNetwork]
    log_alpha: Scalar
    policy_optimiser: optax.OptState
    value_optimiser: optax.OptState
    alpha_optimiser: optax.OptState
    size: Scalar
    reached: Array
    going: Array


class Pathwise(Learner):
    """Value gradients of short imagined branches, in the world's members as they are drawn."""

    cautious_by_default: ClassVar[bool] = False
    settings: PathwiseSettings = eqx.field(static=True, default_factory=PathwiseSettings)

    def init(self, problem: Problem, key: PRNGKey) -> PathwiseState:
        """An untrained policy and value, which see states in units of the visited ones."""
        of_policy, first, second = jax.random.split(key, 3)
        policy = self._new_policy(problem, of_policy)
        check_action_form(problem.world, policy)
        if isinstance(policy, SquashedGaussian):
            check_derivatives(problem.world)
        values = (self._new_value(problem, first), self._new_value(problem, second))
        discrete = isinstance(problem.world.spec.action, Discrete)
        alpha = _FIRST_ALPHA if discrete else self.settings.alpha
        log_alpha = jnp.log(jnp.asarray(alpha, dtype=float))
        for_policy, for_value, for_alpha = (
            self._adam.init(_parameters(part)) for part in (policy, values, log_alpha)
        )
        size = jnp.asarray(problem.rewards.size, dtype=float)
        branches = self.settings.branches
        reached = jnp.zeros((branches, problem.world.spec.state_size), problem.starts.visited.dtype)
        state = PathwiseState(
            policy,
            policy,
            values,
            values,
            log_alpha,
            for_policy,
            for_value,
            for_alpha,
            size,
            reached,
            jnp.zeros(branches, bool),
        )
        return on_all(state, branches)

    def step(
        self, state: PathwiseState, problem: Problem, key: PRNGKey
    ) -> tuple[PathwiseState, Metrics]:
        """One step of policy, value and α, its branches spread over the host's devices."""

        def on_device(state: Any, shared: tuple[Any, ...], numbers: Array) -> tuple[Any, Metrics]:
            learner, problem, key = shared
            return learner._step_on_device(state, problem, key, numbers)

        return step_on_all(on_device, state, (self, problem, key), self.settings.branches)

    def policy(self, state: PathwiseState) -> Categorical | SquashedGaussian:
        """The moving average of the policies that were trained."""
        return state.slow_policy

    def predicted_return(
        self,
        state: PathwiseState,
        problem: Problem,
        start: Float[Array, "episode state"],
        key: PRNGKey,
    ) -> Float[Array, " episode"]:
        """`Σ_{t<h} γ^t r_t + γ^h v(s_h)` of rollouts in the mean world of training.

        Args:
            state, problem, start, key: As `Learner` has them.
        """
        state = _in_units_of(state, problem)
        low, high = value_bounds(problem)
        twin, size = TwinValue(state.slow_values, value_scale(problem)), problem.rewards.size

        def value(state: Array, progress: Array) -> Scalar:
            return size * jnp.clip(twin(state), low, high)

        predict = Bootstrapped(problem.training_world, problem.horizon, value)
        return predict(Mode(self.policy(state)), start, key)

    # A training step.

    def _step_on_device(
        self, state: PathwiseState, problem: Problem, key: PRNGKey, numbers: Array
    ) -> tuple[PathwiseState, Metrics]:
        """The step on this device's branches, `numbers` of all; gradients are summed over devices.

        Args:
            state, problem, key: As for `step`.
            numbers: `[branch]`.
        """
        settings, state = self.settings, _in_units_of(state, problem)
        alpha = jnp.exp(state.log_alpha)
        value = TwinValue(state.slow_values, value_scale(problem))
        for_starts, for_branches, for_ends = jax.random.split(key, 3)
        start = self._starts(state, problem, for_starts, numbers)

        def loss(policy: Any) -> tuple[Scalar, tuple[Branches, Array]]:
            branches = self._imagined(policy, value, problem, start, for_branches, numbers=numbers)
            targets = branch_returns(branches.played, problem.world.discount, settings.lambda_)
            played = branches.played
            if isinstance(policy, Categorical):
                climbed = branches.weight * (played.climbed + alpha * played.entropy)
                total = jnp.sum(climbed) / self._reached(branches)
            else:
                soft = played._replace(reward=played.reward + alpha * played.entropy)
                returns = branch_returns(soft, problem.world.discount, settings.lambda_)
                total = jnp.sum(returns[0]) / settings.branches
            return -total / value.scale, (branches, targets)

        gradient, (branches, targets) = jax.lax.stop_gradient(
            eqx.filter_grad(loss, has_aux=True)(state.policy)
        )
        policy, for_policy = self._descend(
            state.policy, gradient, state.policy_optimiser, problem.rate
        )
        values, for_value, value_loss = self._step_values(state, problem, branches, targets)
        entropy = jax.lax.psum(
            jnp.sum(branches.weight * branches.played.entropy) / self._reached(branches), AXIS
        )
        log_alpha, for_alpha = self._step_alpha(state, entropy, problem)
        average = _moving(settings.policy_average, state.slow_policy, policy)
        slow = _moving(settings.value_average, state.slow_values, values)
        new = PathwiseState(
            policy,
            average,
            values,
            slow,
            log_alpha,
            for_policy,
            for_value,
            for_alpha,
            state.size,
            *self._reached_by(branches, policy, problem, for_ends, numbers),
        )
        return new, self._metrics(branches, value_loss, entropy, alpha, problem)

    def _starts(
        self, state: PathwiseState, problem: Problem, key: PRNGKey, numbers: Array
    ) -> Array:
        """Where this device's branches start: those of even numbers in visited states, the others
        where an imagined episode has got to, or begin one, in an initial or a visited state.

        Args:
            state, problem, key, numbers: As for `_step_on_device`.
        """
        keys = jax.vmap(partial(jax.random.fold_in, key))(numbers)
        visited, begun = (problem.starts.draw(keys, share) for share in (1.0, 0.5))
        odd, going = numbers[:, None] % 2 == 1, state.going[numbers, None]
        return jnp.where(odd, jnp.where(going, state.reached[numbers], begun), visited)

    def _reached_by(
        self,
        branches: Branches,
        policy: Categorical | SquashedGaussian,
        problem: Problem,
        key: PRNGKey,
        numbers: Array,
    ) -> tuple[Array, Array]:
        """Where all branches end, and which go on from there: each step does with the chance
        `γ (1 - p) (1 - d)`, so that states are reached as often as they count and as far as the
        members agree; `d` is their doubt of what the policy does in the last state of the branch.
        None goes on from the edge of the data, nor in the mean longer than an episode.

        Args:
            branches: Of this device.
            policy: Who acts.
            problem, key, numbers: As for `_step_on_device`.
        """
        played, world = branches.played, problem.world
        squares = jnp.mean((played.after - branches.state) ** 2, axis=(0, 1))
        change = jnp.sqrt(jax.lax.pmean(squares, AXIS))
        before, last = branches.state[-1], played.after[-1]
        sure = 1 - doubt(world, before, jax.vmap(policy.mode)(before), change)
        counts = min(world.discount, 1 - 1 / world.spec.horizon)
        kept = counts * sure * played.goes_on
        chance = jnp.prod(kept, axis=0)
        keys = jax.vmap(partial(jax.random.fold_in, key))(numbers)
        going = jax.vmap(jax.random.bernoulli)(keys, chance)
        if world.domain is not None:
            going &= ~world.domain.at_edge(last)
        everywhere = partial(jax.lax.all_gather, axis_name=AXIS, tiled=True)
        return everywhere(last), everywhere(going)

    def _imagined(
        self,
        policy: Any,
        value: TwinValue,
        problem: Problem,
        start: Array,
        key: PRNGKey,
        *,
        numbers: Array,
    ) -> Branches:
        """This device's branches, in blocks that lie each in one group.

        Args:
            policy, value, problem: As for `imagined_branches`.
            start: Where they start, `[branch, state]`.
            key: Of all branches.
            numbers: Of this device's branches, in order, `[branch]`.
        """
        settings = self.settings
        in_group = settings.branches // settings.groups
        block = math.gcd(len(numbers), in_group)
        of_world, of_branch = jax.random.split(key)
        worlds = jax.vmap(partial(jax.random.fold_in, of_world))(numbers[::block] // in_group)
        keys = jax.vmap(partial(jax.random.fold_in, of_branch))(numbers).reshape(-1, block)

        steps = settings.branch_steps(problem.world.spec.action)

        def play(start: Array, world: PRNGKey, keys: Keys) -> Branches:
            return imagined_branches(policy, value, problem, start, world, keys=keys, steps=steps)

        blocks = jax.vmap(play, out_axes=1)(start.reshape(*keys.shape, -1), worlds, keys)
        return jax.tree.map(lambda leaf: leaf.reshape(len(leaf), -1, *leaf.shape[3:]), blocks)

    def _step_values(
        self, state: PathwiseState, problem: Problem, branches: Branches, targets: Array
    ) -> tuple[tuple[ValueNetwork, ValueNetwork], optax.OptState, Scalar]:
        """A step of both value networks towards the targets, and their loss.

        Args:
            state: Before it.
            problem: Says what values are possible.
            branches, targets: What was imagined, and its λ-returns.
        """
        scale, (low, high) = value_scale(problem), value_bounds(problem)
        wanted = jnp.clip(targets, low, high) / scale

        def loss(values: tuple[ValueNetwork, ValueNetwork]) -> Scalar:
            off = [(jax.vmap(jax.vmap(v))(branches.state) - wanted) ** 2 for v in values]
            return jnp.sum(branches.weight * sum(off)) / self._reached(branches)

        size, gradient = eqx.filter_value_and_grad(loss)(state.values)
        rate = self.settings.value_rate * problem.rate
        values, optimiser = self._descend(state.values, gradient, state.value_optimiser, rate)
        return values, optimiser, jax.lax.psum(size, AXIS)

    def _step_alpha(
        self, state: PathwiseState, entropy: Scalar, problem: Problem
    ) -> tuple[Scalar, optax.OptState]:
        """α falls where the entropy is above its level, and rises where it is below; one of
        continuous actions stays.
        """
        space = problem.world.spec.action
        if not isinstance(space, Discrete):
            return state.log_alpha, state.alpha_optimiser
        level = self.settings.choice_entropy * math.log(space.size)
        update, optimiser = self._adam.update(entropy - level, state.alpha_optimiser)
        update = jnp.asarray(update)
        moved = state.log_alpha - ALPHA_RATE * problem.rate * update
        return jnp.clip(moved, *_LOG_ALPHA), optimiser

    @property
    def _adam(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.settings.clip), optax.scale_by_adam())

    def _descend(
        self, part: Any, gradient: Any, optimiser: optax.OptState, rate: Scalar
    ) -> tuple[Any, optax.OptState]:
        """A step of Adam down the gradient, which is summed over devices first.

        Args:
            part: What is trained.
            gradient: Of this device's share.
            optimiser: Adam's state before.
            rate: The learning rate.
        """
        update, optimiser = self._adam.update(jax.lax.psum(gradient, AXIS), optimiser)
        moved = jax.tree.map(lambda u: -rate * u, update)
        return eqx.apply_updates(part, moved), optimiser

    def _reached(self, branches: Branches) -> Scalar:
        """The weight of all steps, on all devices."""
        return jax.lax.psum(jnp.sum(branches.weight), AXIS)

    def _metrics(
        self,
        branches: Branches,
        value_loss: Scalar,
        entropy: Scalar,
        alpha: Scalar,
        problem: Problem,
    ) -> Metrics:
        """Numbers of a step.

        Args:
            branches: What was imagined on this device.
            value_loss, entropy, alpha: As they are named.
            problem: Where imagination ends.
        """
        edge, domain = jnp.zeros(()), problem.world.domain
        if domain is not None:
            edge = jax.lax.pmean(jnp.mean(domain.at_edge(branches.played.after)), AXIS)
        steps = self.settings.branches * len(branches.weight)
        return {
            "edge_share": edge,
            "imagined_steps": jnp.asarray(steps),
            "value_loss": value_loss,
            "policy_entropy": entropy,
            "entropy_weight": alpha,
        }

    # What is new at the start.

    def _new_policy(self, problem: Problem, key: PRNGKey) -> Categorical | SquashedGaussian:
        """An untrained policy: nearly uniform, or wide about the centre of the box."""
        spec = problem.world.spec
        if isinstance(spec.action, Discrete):
            return Categorical(self._network(problem, spec.action.size, key, last=0.01))
        network = self._network(problem, 2 * spec.action.size, key, last=0.01)
        return SquashedGaussian(network, spec.action)

    def _new_value(self, problem: Problem, key: PRNGKey) -> ValueNetwork:
        return ValueNetwork(self._network(problem, 1, key, last=0.1))

    def _network(self, problem: Problem, outputs: int, key: PRNGKey, *, last: float) -> MLP:
        """A network of states in units of the visited ones.

        Args:
            problem: Whose states.
            outputs: How many.
            key: Of the weights.
            last: Factor of the last layer's weights.
        """
        visited = problem.starts.visited
        center, scale = jnp.mean(visited, axis=0), jnp.std(visited, axis=0)
        scale = jnp.where(constant(center, scale), 1, scale)
        width, depth = self.settings.width, self.settings.depth
        size = problem.world.spec.state_size
        return MLP(size, outputs, width, depth, key, center=center, scale=scale, last=last)


def _in_units_of(state: PathwiseState, problem: Problem) -> PathwiseState:
    """The state in sizes of the problem's rewards: values keep what they are worth when more
    rewards have been recorded, and so does α where these are larger. Where they are smaller α falls
    with them, or it would bury a task whose first rewards were large.
    """
    size = jnp.asarray(problem.rewards.size, dtype=state.size.dtype)
    ratio = state.size / size

    def renewed(values: tuple[ValueNetwork, ValueNetwork]) -> tuple[ValueNetwork, ValueNetwork]:
        first, second = (
            ValueNetwork(rescaled(value.network, ratio, jnp.zeros_like(ratio))) for value in values
        )
        return first, second

    return state._replace(
        values=renewed(state.values),
        slow_values=renewed(state.slow_values),
        log_alpha=jnp.clip(state.log_alpha + jnp.minimum(jnp.log(ratio), 0), *_LOG_ALPHA),
        size=size,
    )


def _parameters(part: Any) -> Any:
    return eqx.filter(part, eqx.is_inexact_array)


def _moving(weight: float, average: Any, new: Any) -> Any:
    """The moving average of networks after a new one."""

    def leaf(old: Any, fresh: Any) -> Any:
        return old + weight * (fresh - old) if eqx.is_inexact_array(fresh) else fresh

    return jax.tree.map(leaf, average, new)
