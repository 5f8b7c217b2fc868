"""What TD-MPC2's configuration says of a model, its task and its planner."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from paracosm.adapters.mppi import LatentSearch
from paracosm.core import checks
from paracosm.core.mdp import Box, Spec


@dataclasses.dataclass(frozen=True)
class Tdmpc2Settings:
    """The entries of a configuration that a model is read by.

    Attributes:
        num_bins, vmin, vmax: The bins of the distributions of rewards and values: how many, and the
            symmetric logarithm at the first and the last.
        latent_size, model_action_size, observation_size: Components that the model has; a task may
            have fewer.
        action_size: Components of the task's actions.
        episode_length: Steps of an episode of the task.
        discount: γ.
        episodic: Whether the model predicts ends.
        mpc: Whether the planner acts.
    """

    num_bins: int
    vmin: float
    vmax: float
    latent_size: int
    model_action_size: int
    observation_size: int
    action_size: int
    episode_length: int
    discount: float
    episodic: bool
    mpc: bool

    @classmethod
    def from_config(cls, cfg: Any, task: int | None) -> Tdmpc2Settings:
        """Read a configuration; of a multitask one the entries of `task`.

        Raises:
            BadArgument: it lacks an entry, observes images, or has no such task.
        """
        multitask = bool(_entry(cfg, "multitask", False))
        _require_task(cfg, task, multitask)
        kind = _entry(cfg, "obs", "state")
        if kind != "state":
            raise checks.BadArgument(
                f"the cfg's obs is {kind!r}; models of 'state' observations, which are vectors, are"
                " supported."
            )
        length = (
            _entry(cfg, "episode_lengths")[task] if multitask else _entry(cfg, "episode_length")
        )
        model_action_size = _entry(cfg, "action_dim")
        return cls(
            num_bins=checks.count("cfg.num_bins", _entry(cfg, "num_bins"), 0),
            vmin=float(_entry(cfg, "vmin")),
            vmax=float(_entry(cfg, "vmax")),
            latent_size=checks.count("cfg.latent_dim", _entry(cfg, "latent_dim")),
            model_action_size=checks.count("cfg.action_dim", model_action_size),
            observation_size=_entry(cfg, "obs_shape")[kind][0],
            action_size=_entry(cfg, "action_dims")[task] if multitask else model_action_size,
            episode_length=checks.count("cfg.episode_length", length),
            discount=_discount(cfg, length),
            episodic=bool(_entry(cfg, "episodic", False)),
            mpc=bool(_entry(cfg, "mpc", True)),
        )

    def spec(self) -> Spec:
        """The task in observations, as the configuration has it; the state scale is 1."""
        size, box = self.observation_size, jnp.ones(self.action_size)
        return Spec(
            size, action=Box(-box, box), state_scale=jnp.ones(size), horizon=self.episode_length
        )

    def box(self, spec: Spec) -> Box:
        """The actions of a task, if the model fits the task.

        Raises:
            BadArgument: the task has other actions, or more observations; naming both sizes.
        """
        if not isinstance(spec.action, Box) or spec.action.size != self.action_size:
            kind = "continuous" if isinstance(spec.action, Box) else "discrete"
            raise checks.BadArgument(
                f"the spec has {spec.action.size} {kind} actions; the cfg's model has"
                f" {self.action_size} continuous ones."
            )
        if spec.state_size > self.observation_size:
            raise checks.BadArgument(
                f"the spec has observations of {spec.state_size} numbers; the cfg's model takes"
                f" {self.observation_size}."
            )
        return spec.action


def search_of(cfg: Any, settings: Tdmpc2Settings) -> LatentSearch:
    """The planner that a configuration describes.

    Raises:
        BadArgument: it lacks an entry, or an entry is out of range.
    """
    return LatentSearch(
        action_size=settings.action_size,
        discount=settings.discount,
        steps=_entry(cfg, "horizon"),
        plans=_entry(cfg, "num_samples"),
        elites=_entry(cfg, "num_elites"),
        proposals=_entry(cfg, "num_pi_trajs"),
        iterations=_entry(cfg, "iterations"),
        temperature=_entry(cfg, "temperature"),
        least_spread=_entry(cfg, "min_std"),
        most_spread=_entry(cfg, "max_std"),
    )


def _require_task(cfg: Any, task: int | None, multitask: bool) -> None:
    tasks = len(_entry(cfg, "tasks")) if multitask else 0
    if multitask and (not isinstance(task, int) or not 0 <= task < tasks):
        raise checks.BadArgument(
            f"task is {checks.described(task)}; the model is one of {tasks} tasks, and a whole"
            f" number from 0 to {tasks - 1} is needed."
        )
    if not multitask and task is not None:
        raise checks.BadArgument(
            f"task is {checks.described(task)}; the cfg's model is one of a single task (multitask"
            " is not set)."
        )


def _discount(cfg: Any, length: int) -> float:
    """γ, as the configuration has it or TD-MPC2 makes it: `(f - 1) / f` within bounds, with `f` the
    length of an episode in units of `discount_denom`.
    """
    given = _entry(cfg, "discount", None)
    if given is not None:
        checks.in_unit_interval("cfg.discount", given)
        return float(given)
    share = length / _entry(cfg, "discount_denom")
    low, high = _entry(cfg, "discount_min"), _entry(cfg, "discount_max")
    return float(min(max((share - 1) / share, low), high))


_NEEDED = object()  # no default: the entry must be there


def _entry(cfg: Any, name: str, default: Any = _NEEDED) -> Any:
    """An entry of a configuration, which is a mapping or an object with attributes."""
    value = cfg.get(name, default) if isinstance(cfg, Mapping) else getattr(cfg, name, default)
    if value is _NEEDED:
        raise checks.BadArgument(
            f"the cfg is {checks.described(cfg)} without {name}; TD-MPC2's configuration, with all"
            " that parse_cfg and make_env fill in, is needed."
        )
    return value
