"""Gradients through the world: short branches of imagination, completed by a learned value.

From a start the policy plays a few steps in a world whose members are drawn anew at every step, for
each group of branches apart. Every other start is a state of the data. The others are where
imagined episodes of the policy have got to, a branch further at each training step: data need not
have been there yet, and a value that is wrong there can be put right before the policy fails for
real.
With the reward `r`, the chance `p` that a step ends the episode and the value `v`, the targets are
the λ-returns

    G_t = r_t + γ (1 - p_t) ((1-λ) v(s_{t+1}) + λ G_{t+1})

Continuous actions: the policy climbs the mean of `G_0`, with `α S` added to its rewards, `S` its
entropy, by its derivative through policy, dynamics, reward and end (value gradients; Heess et al.
2015, Clavera et al. 2020). The sum of `G_t` over a branch (Hafner et al. 2020) would count late
rewards once for each state before them, and acts too much. A choice among discrete actions has no
derivative, but the world can be asked for all of them: the policy climbs, exactly, the mean of
`Σ_a π(a|s) (r + γ (1-p) v(s'))(s, a) + α S` over the states of a branch.

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
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.devices import AXIS, on_all, step_on_all
from paracosm.core.learner import Learner, Metrics, Problem
from paracosm.core.mdp import Box, Discrete
from paracosm.core.members import disagreement_share
from paracosm.core.networks import MLP, rescaled
from paracosm.core.policy import Categorical, Mode, SquashedGaussian
from paracosm.core.predicted import Bootstrapped
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
from paracosm.imagination.descent import clipped_adam, descend
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
        steps: Steps of a branch of continuous actions. Longer ones carry the model's errors
            further, shorter ones lean more on the value.
        choice_steps: Steps of a branch of discrete actions, each of which asks for all actions:
            Acrobot has -65 with 3 and -67 with 5 steps, which take half as long again.
        lambda_: λ of the returns.
        value_rate: The value's learning rate as a multiple of the policy's.
        value_average, policy_average: Weights of the new networks in their moving averages.
        alpha: α of continuous actions, in sizes of a reward when these were smallest. One that
            keeps the entropy at a level rises where the policy is drawn to the bounds of the box,
            and buries the task.
        choice_entropy: Entropy that α keeps of a discrete choice, as a share of the uniform one's.
        clip: Largest global norm of a gradient.
        width: Neurons of each hidden layer of policy and value.
        depth: How many hidden layers these have.
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
    """What training changes.

    Run directories hold its arrays in this order: it must stay.

    Attributes:
        policy, slow_policy: The policy and its moving average.
        values, slow_values: The two value networks and their moving averages.
        log_alpha: `log α`.
        policy_optimiser, value_optimiser, alpha_optimiser: States of Adam.
        size: The size of a reward, which is the unit of values and of α.
        frontier: Where the imagined episodes are, `[branch, state]`.
        frontier_alive: Which of these go on from there, `[branch]`; the others start anew.
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
    frontier: Array
    frontier_alive: Array


class Pathwise(Learner):
    """Value gradients of short imagined branches, in the world's members as they are drawn."""

    cautious_by_default: ClassVar[bool] = False
    keep: ClassVar[Literal["best", "last"]] = "last"
    settings: PathwiseSettings = eqx.field(static=True, default_factory=PathwiseSettings)

    def init(self, problem: Problem, key: PRNGKey) -> PathwiseState:
        """An untrained policy and value, which see states in units of the visited ones."""
        policy_key, first, second = jax.random.split(key, 3)
        policy = self._new_policy(problem, policy_key)
        check_action_form(problem.world, policy)
        if isinstance(policy, SquashedGaussian):
            check_derivatives(problem.world)
        values = (self._new_value(problem, first), self._new_value(problem, second))
        discrete = isinstance(problem.world.spec.action, Discrete)
        alpha = _FIRST_ALPHA if discrete else self.settings.alpha
        log_alpha = jnp.log(jnp.asarray(alpha, dtype=float))
        branches, state_size = self.settings.branches, problem.world.spec.state_size
        state = PathwiseState(
            policy=policy,
            slow_policy=policy,
            values=values,
            slow_values=values,
            log_alpha=log_alpha,
            policy_optimiser=self._adam.init(_parameters(policy)),
            value_optimiser=self._adam.init(_parameters(values)),
            alpha_optimiser=self._adam.init(_parameters(log_alpha)),
            size=jnp.asarray(problem.rewards.size, dtype=float),
            frontier=jnp.zeros((branches, state_size), problem.starts.visited.dtype),
            frontier_alive=jnp.zeros(branches, bool),
        )
        return on_all(state, branches)

    def step(
        self, state: PathwiseState, problem: Problem, key: PRNGKey
    ) -> tuple[PathwiseState, Metrics]:
        """One step of policy, value and α, its branches spread over the host's devices."""

        def on_device(
            state: Any, shared: tuple[Any, ...], branch_numbers: Array
        ) -> tuple[Any, Metrics]:
            learner, problem, key = shared
            return learner._step_on_device(state, problem, key, branch_numbers)

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
        state = _rescale(state, problem)
        low, high = value_bounds(problem)
        twin, size = TwinValue(state.slow_values, value_scale(problem)), problem.rewards.size

        def value(state: Array, elapsed: Array) -> Scalar:
            return size * jnp.clip(twin(state), low, high)

        predict = Bootstrapped(problem.training_world, problem.horizon, value)
        return predict(Mode(self.policy(state)), start, key)

    # A training step.

    def _step_on_device(
        self, state: PathwiseState, problem: Problem, key: PRNGKey, branch_numbers: Array
    ) -> tuple[PathwiseState, Metrics]:
        """The step on this device's branches; gradients are summed over devices.

        Args:
            state, problem, key: As for `step`.
            branch_numbers: Which branches of the step are this device's, `[branch]`.
        """
        settings, state = self.settings, _rescale(state, problem)
        discount, alpha = problem.world.discount, jnp.exp(state.log_alpha)
        value = TwinValue(state.slow_values, value_scale(problem))
        start_key, branch_key, frontier_key = jax.random.split(key, 3)
        start = self._starts(state, problem, start_key, branch_numbers)

        def loss(policy: Any) -> tuple[Scalar, tuple[Branches, Array]]:
            branches = self._imagine(
                policy, value, problem, start, branch_key, branch_numbers=branch_numbers
            )
            steps = branches.steps
            targets = branch_returns(steps, discount, settings.lambda_)
            if isinstance(policy, Categorical):
                climbed = branches.weight * (steps.objective + alpha * steps.entropy)
                total = jnp.sum(climbed) / self._total_weight(branches)
            else:
                soft = steps._replace(reward=steps.reward + alpha * steps.entropy)
                returns = branch_returns(soft, discount, settings.lambda_)
                total = jnp.sum(returns[0]) / settings.branches
            return -total / value.scale, (branches, targets)

        gradient, (branches, targets) = jax.lax.stop_gradient(
            eqx.filter_grad(loss, has_aux=True)(state.policy)
        )
        policy, policy_optimiser = descend(
            self._adam, state.policy, gradient, state.policy_optimiser, problem.rate
        )
        values, value_optimiser, value_loss = self._step_values(state, problem, branches, targets)
        entropy = jax.lax.psum(
            jnp.sum(branches.weight * branches.steps.entropy) / self._total_weight(branches), AXIS
        )
        log_alpha, alpha_optimiser = self._step_alpha(state, entropy, problem)
        slow_policy = _move_average(settings.policy_average, state.slow_policy, policy)
        slow_values = _move_average(settings.value_average, state.slow_values, values)
        frontier, frontier_alive = self._advance_frontier(
            branches, policy, problem, frontier_key, branch_numbers
        )
        new = PathwiseState(
            policy=policy,
            slow_policy=slow_policy,
            values=values,
            slow_values=slow_values,
            log_alpha=log_alpha,
            policy_optimiser=policy_optimiser,
            value_optimiser=value_optimiser,
            alpha_optimiser=alpha_optimiser,
            size=state.size,
            frontier=frontier,
            frontier_alive=frontier_alive,
        )
        return new, self._metrics(branches, value_loss, entropy, alpha, problem)

    def _starts(
        self, state: PathwiseState, problem: Problem, key: PRNGKey, branch_numbers: Array
    ) -> Array:
        """Where this device's branches start: those of even numbers in visited states, the others
        where an imagined episode has got to, or begin one, in an initial or a visited state.

        Args:
            state, problem, key, branch_numbers: As for `_step_on_device`.
        """
        keys = jax.vmap(partial(jax.random.fold_in, key))(branch_numbers)
        visited, anew = (problem.starts.draw(keys, share) for share in (1.0, 0.5))
        odd, alive = branch_numbers[:, None] % 2 == 1, state.frontier_alive[branch_numbers, None]
        return jnp.where(odd, jnp.where(alive, state.frontier[branch_numbers], anew), visited)

    def _advance_frontier(
        self,
        branches: Branches,
        policy: Categorical | SquashedGaussian,
        problem: Problem,
        key: PRNGKey,
        branch_numbers: Array,
    ) -> tuple[Array, Array]:
        """Where all branches end, and which go on from there: each step does with the chance
        `γ (1 - p) (1 - u)`, so that states are reached as often as they count and as far as the
        members agree; `u` is the share of a step's change on which the members disagree, at the
        action of the policy's mode where the last step of the branch starts. No branch goes on from
        the edge of the data, and in the mean none lasts longer than an episode.

        Args:
            branches: The branches of this device.
            policy: Who acts.
            problem, key, branch_numbers: As for `_step_on_device`.
        """
        steps, world = branches.steps, problem.world
        squares = jnp.mean((steps.next_state - branches.state) ** 2, axis=(0, 1))
        change = jnp.sqrt(jax.lax.pmean(squares, AXIS))
        before, last = branches.state[-1], steps.next_state[-1]
        sure = 1 - disagreement_share(world, before, jax.vmap(policy.mode)(before), change)
        step_discount = min(world.discount, 1 - 1 / world.spec.horizon)
        chance = jnp.prod(step_discount * sure * steps.goes_on, axis=0)
        keys = jax.vmap(partial(jax.random.fold_in, key))(branch_numbers)
        alive = jax.vmap(jax.random.bernoulli)(keys, chance)
        if world.domain is not None:
            alive &= ~world.domain.at_edge(last)
        everywhere = partial(jax.lax.all_gather, axis_name=AXIS, tiled=True)
        return everywhere(last), everywhere(alive)

    def _imagine(
        self,
        policy: Any,
        value: TwinValue,
        problem: Problem,
        start: Array,
        key: PRNGKey,
        *,
        branch_numbers: Array,
    ) -> Branches:
        """This device's branches, in blocks that lie each in one group.

        Args:
            policy, value, problem: As for `imagined_branches`.
            start: Where this device's branches start, `[branch, state]`.
            key: Randomness of all branches.
            branch_numbers: As for `_step_on_device`, in order.
        """
        settings = self.settings
        in_group = settings.branches // settings.groups
        block = math.gcd(len(branch_numbers), in_group)
        world_key, branch_key = jax.random.split(key)
        world_keys = jax.vmap(partial(jax.random.fold_in, world_key))(
            branch_numbers[::block] // in_group
        )
        keys = jax.vmap(partial(jax.random.fold_in, branch_key))(branch_numbers).reshape(-1, block)
        steps = settings.branch_steps(problem.world.spec.action)

        def imagine(start: Array, for_world: PRNGKey, keys: Keys) -> Branches:
            return imagined_branches(
                policy, value, problem, start, for_world, keys=keys, steps=steps
            )

        blocks = jax.vmap(imagine, out_axes=1)(start.reshape(*keys.shape, -1), world_keys, keys)
        return jax.tree.map(lambda leaf: leaf.reshape(len(leaf), -1, *leaf.shape[3:]), blocks)

    def _step_values(
        self, state: PathwiseState, problem: Problem, branches: Branches, targets: Array
    ) -> tuple[tuple[ValueNetwork, ValueNetwork], optax.OptState, Scalar]:
        """A step of both value networks towards the targets, and their loss.

        Args:
            state: The state before the step.
            problem: Says what values are possible.
            branches, targets: What was imagined, and its λ-returns.
        """
        scale, (low, high) = value_scale(problem), value_bounds(problem)
        scaled = jnp.clip(targets, low, high) / scale
        states = branches.state.reshape(-1, branches.state.shape[-1])

        def loss(values: tuple[ValueNetwork, ValueNetwork]) -> Scalar:
            squares = [(jax.vmap(v)(states) - scaled.ravel()) ** 2 for v in values]
            return jnp.sum(branches.weight.ravel() * sum(squares)) / self._total_weight(branches)

        loss_value, gradient = eqx.filter_value_and_grad(loss)(state.values)
        rate = self.settings.value_rate * problem.rate
        values, optimiser = descend(self._adam, state.values, gradient, state.value_optimiser, rate)
        return values, optimiser, jax.lax.psum(loss_value, AXIS)

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
        return clipped_adam(self.settings.clip)

    def _total_weight(self, branches: Branches) -> Scalar:
        """The sum of the weights of all steps, on all devices."""
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
            value_loss, entropy, alpha: The numbers of those names.
            problem: Its world says where the edge of the data is.
        """
        edge, domain = jnp.zeros(()), problem.world.domain
        if domain is not None:
            edge = jax.lax.pmean(jnp.mean(domain.at_edge(branches.steps.next_state)), AXIS)
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
            problem: Its visited states are the units.
            outputs: How many outputs it has.
            key: Randomness of the weights.
            last: Factor of the last layer's weights.
        """
        center, scale = problem.starts.units()
        width, depth = self.settings.width, self.settings.depth
        size = problem.world.spec.state_size
        return MLP(size, outputs, width, depth, key, center=center, scale=scale, last=last)


def _rescale(state: PathwiseState, problem: Problem) -> PathwiseState:
    """The state in sizes of the problem's rewards: values keep what they are worth when more
    rewards have been recorded, and so does α where these are larger. Where they are smaller α falls
    with them, or it would bury a task whose first rewards were large.
    """
    size = jnp.asarray(problem.rewards.size, dtype=state.size.dtype)
    ratio = state.size / size

    def rescale(values: tuple[ValueNetwork, ValueNetwork]) -> tuple[ValueNetwork, ValueNetwork]:
        first, second = (
            ValueNetwork(rescaled(value.network, ratio, jnp.zeros_like(ratio))) for value in values
        )
        return first, second

    return state._replace(
        values=rescale(state.values),
        slow_values=rescale(state.slow_values),
        log_alpha=jnp.clip(state.log_alpha + jnp.minimum(jnp.log(ratio), 0), *_LOG_ALPHA),
        size=size,
    )


def _parameters(part: Any) -> Any:
    """The arrays of a part that are trained."""
    return eqx.filter(part, eqx.is_inexact_array)


def _move_average(weight: float, average: Any, new: Any) -> Any:
    """The moving average of networks after a new one."""

    def leaf(old: Any, fresh: Any) -> Any:
        return old + weight * (fresh - old) if eqx.is_inexact_array(fresh) else fresh

    return jax.tree.map(leaf, average, new)
