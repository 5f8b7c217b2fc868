"""An MDP from somebody's model: its parts in PyTorch or NumPy, apart or joined in one step
function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np

from paracosm.adapters.answers import EndReader
from paracosm.adapters.host import Slot
from paracosm.adapters.parts import (
    NORMALS,
    ForeignDynamics,
    ForeignReward,
    ForeignTermination,
    RecordedActions,
    argument_slots,
    host_of,
    require_spec,
)
from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.recordings import state_scale
from paracosm.core.types import PRNGKey, State

HostFunction = Callable[..., Any]

_STEP_GIVES = ("s',r", "s',r,ended")


def world(
    spec: Spec,
    *,
    dynamics: HostFunction | None = None,
    reward: HostFunction | None = None,
    reward_of: str = "s,a,s'",
    termination: HostFunction | None = None,
    termination_of: str = "s,a,s'",
    step: HostFunction | None = None,
    step_gives: str = "s',r",
    termination_gives: str | None = None,
    functions: str = "numpy",
    discount: float = 0.99,
    noise: int = 0,
    initial: Callable[[PRNGKey], State] | None = None,
) -> MDP:
    """A learned world made of somebody's functions, each of batches in the environment's units.

    Give `dynamics` and `reward`, or the joint `step`. Arguments are `[batch, state]`, `[batch,
    action]` (`[batch]` whole numbers for discrete actions); next states are `[batch, state]`,
    rewards and ends `[batch]` or `[batch, 1]`. A JAX part needs none of this: put it in with
    `world.replace(reward=…)`.

    Args:
        spec: what is fixed about the task: see `spec`.
        dynamics: `(s, a) -> s'`.
        reward: a function of the arguments that `reward_of` names, in its order: `s,a`, `s,a,s'`,
            `s'`.
        reward_of: see `reward`.
        termination: a function of the arguments that `termination_of` names; None means never.
        termination_of: see `termination`.
        step: `(s, a) -> (s', r)` or `(s', r, ended)`, as `step_gives` says; asked once where its
            parts are asked the same. A reward or end rule given beside it is used instead of its
            own.
        step_gives: `s',r` or `s',r,ended`.
        termination_gives: what an end rule, the step's own included, gives: `end` (flags, or 0 and
            1), `probability` (of ending; the episode ends above 1/2), `continue` (the probability
            or flag of going on; it ends below 1/2) or `logit` (above 0 it ends). None tells flags
            from logits, and refuses numbers between 0 and 1.
        functions: what functions that are neither torch modules nor their methods take: `numpy` or
            `torch`.
        discount: γ, in [0, 1].
        noise: how many standard normals `dynamics` takes, as a third argument `[batch, noise]`,
            which are drawn from the world's own keys: dynamics that draw for themselves are
            refused.
        initial: `key -> s`; only for rollouts from the world's own starts, which an audit does not
            make.

    Raises:
        BadArgument: a part is missing, or an argument is not one of those named above.
    """
    require_spec(spec)
    checks.one_of("step_gives", step_gives, _STEP_GIVES)
    inputs = argument_slots("s,a", spec)
    reward_slot = Slot("reward", size=None)
    end_slot = Slot("end", size=None, reader=EndReader(termination_gives))
    next_state = Slot("next state", spec.state_size)
    parts: dict[str, Any] = {"termination": never}
    checks.count("noise", noise, 0)
    if noise and dynamics is None:
        raise checks.BadArgument(
            f"noise is {noise} and the world has no dynamics=…, which takes the normals; the reward"
            " of a joint step could not know the draw."
        )
    if step is not None:
        ends = step_gives == _STEP_GIVES[1]
        host = host_of(
            step,
            "step",
            inputs,
            [next_state, reward_slot, *([end_slot] if ends else [])],
            functions=functions,
            shared=True,
        )
        size = spec.state_size
        parts |= {"dynamics": ForeignDynamics(host), "reward": ForeignReward(host, size)}
        parts |= {"termination": ForeignTermination(host, size + 1)} if ends else {}
    if dynamics is not None:
        takes = [*inputs, Slot(NORMALS, noise)] if noise else inputs
        host = host_of(dynamics, "dynamics", takes, [next_state], functions=functions)
        parts["dynamics"] = ForeignDynamics(host, noise=noise)
    if reward is not None:
        host = host_of(
            reward, "reward", argument_slots(reward_of, spec), [reward_slot], functions=functions
        )
        parts["reward"] = ForeignReward(host)
    if termination is not None:
        host = host_of(
            termination,
            "termination",
            argument_slots(termination_of, spec),
            [end_slot],
            functions=functions,
        )
        parts["termination"] = ForeignTermination(host)
    for part in ("dynamics", "reward"):
        if part not in parts:
            raise checks.BadArgument(f"the world has no {part}; give {part}=… or a joint step=….")
    return MDP(spec, initial=initial or raise_no_start, discount=discount, **parts)


def spec(
    recorded: Dataset | Trajectory,
    *,
    action: Box | Discrete | None = None,
    horizon: int | None = None,
) -> Spec:
    """The spec of a task, read off recorded steps.

    The state scale is the standard deviation of the states. Without `action` the box is that of the
    recorded actions, or there are as many discrete ones as the largest recorded; without `horizon`
    it is the longest episode.

    Raises:
        BadArgument: `recorded` is neither a data set nor episodes.
        BadData: a recorded discrete action is below 0.
    """
    checks.of_kind("recorded", recorded, (Dataset, Trajectory), "a Dataset or a Trajectory")
    if isinstance(recorded, Dataset):
        states, actions, longest = recorded.state, recorded.action, int(recorded.time.max()) + 1
    else:
        alive = np.asarray(recorded.alive)
        states, actions = np.asarray(recorded.state)[alive], np.asarray(recorded.action)[alive]
        longest = alive.shape[1]
    space = _space(actions) if action is None else action
    return Spec(
        states.shape[1],
        action=space,
        state_scale=jnp.asarray(state_scale(states)),
        horizon=longest if horizon is None else horizon,
    )


def _space(actions: np.ndarray) -> Box | Discrete:
    """The space of recorded actions `[rows, …]`.

    Raises:
        BadData: a discrete action is below 0.
    """
    if np.issubdtype(actions.dtype, np.integer):
        if actions.min(initial=0) < 0:
            raise checks.BadData(
                f"the recorded action {actions.min()} is below 0; discrete actions count from 0."
            )
        return RecordedActions(int(actions.max()) + 1)
    low, high = actions.min(axis=0), actions.max(axis=0)
    # An action that never varies still needs a range
    room = np.where(high > low, 0, np.maximum(np.abs(high), 1))
    return Box(jnp.asarray(low - room, jnp.float32), jnp.asarray(high + room, jnp.float32))


def raise_no_start(key: PRNGKey) -> NoReturn:
    """The initial states of a world that nobody gave any.

    Raises:
        BadArgument: always.
    """
    raise checks.BadArgument(
        "this world has no starts of its own; paracosm.foreign.world(…, initial=…) or"
        " world.replace(initial=…) gives it some."
    )
