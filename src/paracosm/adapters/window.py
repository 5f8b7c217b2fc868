"""World models that predict from a window of latents and actions, as LeWM does."""

from __future__ import annotations

from typing import Any

from paracosm.adapters.answers import mode_of
from paracosm.adapters.fitting import fitting
from paracosm.adapters.functions import Calls, Functions
from paracosm.adapters.recurrent import MemorySettings, Recurrent, recurrent_model
from paracosm.core import checks
from paracosm.core.mdp import Discrete, Spec


def window(
    encode: Any,
    predict: Any,
    length: int,
    spec: Spec,
    *,
    reward: Any,
    act: Any,
    ended: Any = None,
    reward_of: str = "s,a",
    termination_gives: str | None = None,
    noise: int = 0,
    discount: float = 0.99,
) -> Recurrent:
    """A torch world model that predicts the next latent from the last `length` latents and actions,
    to be audited on its windows.

    A window holds `latents` `[batch, length, latent]`, the newest last, and the `length - 1`
    actions between them. At the start of an episode the first latent repeats and the actions are
    zero. Actions of a finite set are one-hot.

    Args:
        encode: Observations to latents, `[batch, observation] -> [batch, latent]`.
        predict: `(latents, actions) -> z'`, of `[batch, length, latent]` and `[batch, length,
            action]`, the last action that of the step: the next latent `[batch, latent]`, or one
            for each place of the window, `[batch, length, latent]`, of which the last is taken.
        length: Latents in a window.
        spec: The task in observations.
        reward: The reward of newest latents `[batch, latent]` and actions as `reward_of` says.
        act: The action at newest latents `[batch, latent]`, in the environment's units.
        ended: Whether it ends, of the newest latents after the step; None means never.
        reward_of: What `reward` takes: `s` (the latent before the step), `s'` (that after it),
            `s,a`, `s,a,s'`.
        termination_gives: What `ended` gives: see `world`.
        noise: How many standard normals `predict` takes, as a third argument `[batch, noise]`.
        discount: γ.

    Raises:
        BadArgument: something is no function, or the model does not keep the shape of its window.
        BadAnswer: a function fails on a batch of zeros.
    """
    checks.count("length", length)
    given = {"encode": encode, "predict": predict, "reward": reward, "act": act}
    given |= {} if ended is None else {"ended": ended}
    for name, function in given.items():
        if not callable(function) or isinstance(function, type):
            raise checks.BadArgument(
                f"the {name} of paracosm.foreign.window is {checks.described(function)}; a"
                f" module or a function is needed{fitting(function)}."
            )
    functions = Functions(
        given, "window model", lambda calls: _window_functions(calls, length, spec)
    )
    settings = MemorySettings(
        reward_of=reward_of,
        ends=ended is not None,
        termination_gives=termination_gives,
        noise=noise,
        discount=discount,
    )
    return recurrent_model(functions, spec, settings)


def _window_functions(calls: Calls, length: int, spec: Spec) -> Calls:
    """The functions of a recurrent model whose memory is a window.

    Args:
        calls: What `window` takes, by name.
        length: Latents in a window.
        spec: The task, of which the actions matter.
    """
    import torch

    def start(observation: Any) -> dict[str, Any]:
        latent = calls["encode"](observation)
        actions = latent.new_zeros(len(latent), length - 1, spec.action.size)
        return {"latents": latent[:, None].repeat(1, length, 1), "actions": actions}

    def window_actions(memory: dict[str, Any], action: Any) -> Any:
        """The actions of the window, the step's own last."""
        step_action = network_actions(action, memory["latents"].dtype, spec)
        return torch.cat([memory["actions"], step_action[:, None]], dim=1)

    def shift(memory: dict[str, Any], actions: Any, latent: Any) -> dict[str, Any]:
        """The window one step on: of `window_actions` and the newest latent."""
        latents = torch.cat([memory["latents"][:, 1:], latent[:, None]], dim=1)
        return {"latents": latents, "actions": actions[:, 1:]}

    def observe(memory: dict[str, Any], action: Any, observation: Any) -> dict[str, Any]:
        return shift(memory, window_actions(memory, action), calls["encode"](observation))

    def next_memory(memory: dict[str, Any], action: Any, *normals: Any) -> dict[str, Any]:
        actions = window_actions(memory, action)
        after = mode_of(calls["predict"](memory["latents"], actions, *normals))
        return shift(memory, actions, after[:, -1] if after.ndim == 3 else after)

    def newest(value: Any) -> Any:
        """The newest latent of a window; an action as it is."""
        return value["latents"][:, -1] if isinstance(value, dict) else value

    return {
        "start": start,
        "observe": observe,
        "next": next_memory,
        "reward": lambda *values: calls["reward"](*map(newest, values)),
        "act": lambda memory: calls["act"](newest(memory)),
        "ended": lambda memory: calls["ended"](newest(memory)),
    }


def network_actions(action: Any, dtype: Any, spec: Spec) -> Any:
    """Actions `[batch, action]` of floats: one-hot where they are of a finite set.

    Args:
        action: `[batch, action]`, or whole numbers `[batch]`.
        dtype: The result's type.
        spec: The task, of which the actions matter.
    """
    import torch

    space = spec.action
    if not isinstance(space, Discrete):
        return action.to(dtype)
    return torch.nn.functional.one_hot(action.long() - space.start, space.n).to(dtype)
