"""The parts that a run's settings name, given functions, learners, planners, encoders and owned
data: found and checked before anything is paid for.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.columns import COLUMNS
from paracosm.core.data import Dataset
from paracosm.core.encoder import Encoder, Window
from paracosm.core.learner import Learner
from paracosm.core.mdp import MDP, Box, Discrete, never
from paracosm.core.tracking import Tracker
from paracosm.imagination.caution import (
    Caution,
    EndAtEdge,
    EndInDoubt,
    NoCaution,
    PayForDoubt,
)
from paracosm.imagination.imagine import default_caution
from paracosm.imagination.pathwise import Pathwise
from paracosm.imagination.planners import CEM, MPPI, GradientPlanner, Planner
from paracosm.imagination.settings import ImagineSettings
from paracosm.learning.learn import require_learnable
from paracosm.learning.settings import LearnSettings
from paracosm.loop.config import RunConfig, RunOptions, scales
from paracosm.loop.latents import ENCODER_KINDS
from paracosm.loop.names import by_name
from paracosm.real import datasets, registry
from paracosm.real.column_map import parse_column_map
from paracosm.real.matching import require_match
from paracosm.real.source import Source
from paracosm.real.verbs import connect

# What `--learner` knows by name, beside REINFORCE, which `imagine` trains if given no learner.
LEARNERS: dict[str, Callable[[], Learner]] = {"pathwise": Pathwise}
REINFORCE = "reinforce"
PLANNERS: dict[str, Callable[[MDP], Planner]] = {
    "mppi": MPPI,
    "cem": CEM,
    "gradient": GradientPlanner,
}
# The settings that say how long any learner trains, and on which return it is judged.
_SETTINGS_OF_ANY_LEARNER = ("horizon", "rates", "check", "patience", "least_gain", "most_steps")
_WINDOWS = checks.Range(1, 1000, integer=True)
WINDOW = re.compile(r"window:(\d{1,9})")
CAUTIONS: dict[str, Callable[[], Caution]] = {
    "none": NoCaution,
    "edge": EndAtEdge,
    "stop": EndInDoubt,
    "penalty": PayForDoubt,
}


def check_kinds(
    tracker: Any, learn_settings: Any, imagine_settings: Any, options: Mapping[str, Any]
) -> None:
    """Require arguments of the kinds that a run takes.

    Args:
        tracker, learn_settings, imagine_settings, options: As `run` has them.

    Raises:
        BadArgument: an argument is of another kind, or no option of a run.
    """
    none = type(None)
    if not callable(tracker):
        needed = "a Tracker, what makes one, or None,"
        checks.of_kind("tracker", tracker, (Tracker, none), needed)
    needed = "a LearnSettings, or None,"
    checks.of_kind("learn_settings", learn_settings, (LearnSettings, none), needed)
    needed = "an ImagineSettings, or None,"
    checks.of_kind("imagine_settings", imagine_settings, (ImagineSettings, none), needed)
    for name in options:
        checks.one_of("an option", name, tuple(RunOptions.__annotations__))


def given_part(part: str, where: str | None, source: Source) -> Callable | None:
    """The reward or termination that `module:function` gives, None if it is to be learned. It is
    traced once: what fails now would fail after the real steps are paid for.

    Raises:
        Missing: there is no such function.
        BadArgument: it cannot be called with (s, a, s'), or does not answer with one number.
    """
    if where is None:
        return None
    function = registry.import_function(where)
    state, action = _step_of(source)
    try:
        answer = jax.eval_shape(function, state, action, state)
    except Exception as error:
        raise checks.BadArgument(
            f"--{part} {where} cannot be called with arrays (s, a, s'): {checks.reason_of(error)}."
        ) from error
    if getattr(answer, "shape", None) != ():
        answered = checks.described(answer)
        raise checks.BadArgument(
            f"--{part} {where} answers with {answered}; one number for one (s, a, s') is needed."
        )
    return function


def require_derivative(reward: Callable | None, where: str | None, source: Source) -> None:
    """Require a given reward that gradients through the world can use, if actions are continuous.

    Raises:
        BadArgument: the reward has no derivative.
    """
    if reward is None or isinstance(source.action, Discrete):
        return
    state, action = _step_of(source)
    try:
        jax.eval_shape(jax.grad(reward, argnums=(1, 2)), state, action, state)
    except Exception as error:
        reason = checks.reason_of(error)
        raise checks.BadArgument(
            f"--reward {where} has no derivative ({reason}); gradients through the world need one,"
            f" --learner {REINFORCE} does not."
        ) from error


def _step_of(source: Source) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """The form of a state and of an action of the environment, as JAX takes it."""
    state = jax.ShapeDtypeStruct((source.state_size,), np.float32)
    if isinstance(source.action, Discrete):
        return state, jax.ShapeDtypeStruct((), np.int32)
    return state, jax.ShapeDtypeStruct((source.action.size,), np.float32)


def learner_of(where: str | None, settings: ImagineSettings) -> Learner | None:
    """The learner of a name, or what the user's `module:function` makes of the settings of
    imagination. None stands for REINFORCE, which `imagine` makes of these settings itself; `where`
    is None in runs from before learners had names, all of which are REINFORCE's.

    Raises:
        Missing: there is no such function.
        BadArgument: it fails, or makes no learner.
    """
    if where is None or where == REINFORCE:
        return None
    if where in LEARNERS:
        return LEARNERS[where]()
    if ":" not in where:
        names = ", ".join((*LEARNERS, REINFORCE))
        raise checks.BadArgument(
            f"--learner is {where!r}; {names}, or module:function of a learner of your own, is"
            " needed."
        )
    return registry.build_named(where, Learner, "--learner", settings)


def settings_shown(config: RunConfig, learner: Learner | None) -> dict[str, str]:
    """The settings that a run went by, by dotted name: where its learner has settings of its own,
    these are added; of one of ours, settings of imagination that it does not look at are left out.
    """
    leaves = by_name(config.to_dict())
    if config.learner in LEARNERS:
        unused = {f"imagine.{field.name}" for field in dataclasses.fields(ImagineSettings)}
        unused -= {f"imagine.{name}" for name in _SETTINGS_OF_ANY_LEARNER}
        leaves = {name: value for name, value in leaves.items() if name not in unused}
    own = getattr(learner, "settings", None)
    if dataclasses.is_dataclass(own) and not isinstance(own, type):
        leaves |= {f"learner.{name}": value for name, value in dataclasses.asdict(own).items()}
    return {name: str(value) for name, value in leaves.items()}


def caution_of(name: str | None, learner: Learner | None) -> Caution:
    """The caution of a name, or what the user's `module:function` makes; the learner's own if none
    is given.

    Raises:
        Missing: there is no such function.
        BadArgument: there is none of that name, or the function makes none.
    """
    if name is None:
        return default_caution(learner)
    if ":" in name:
        return registry.build_named(name, Caution, "--caution")
    checks.one_of("--caution", name, (*CAUTIONS, "module:function"))
    return CAUTIONS[name]()


def source_of(config: RunConfig) -> Source:
    """The environment that a run asks, through its encoder if that is not one to be learned.

    Raises:
        Unsupported: it shows images, and the run has no encoder.
    """
    source = observed_source(config)
    encoder = encoder_of(config.encoder, source.action)
    if source.image is not None and isinstance(encoder, Window):
        raise checks.Unsupported(
            f"{config.env} shows images, of which --encoder {config.encoder} makes no beliefs;"
            " latent or recurrent, which learn features of them, is needed."
        )
    return source if encoder is None else source.through(encoder)


def observed_source(config: RunConfig) -> Source:
    """The environment of a run as it shows itself.

    Raises:
        Unsupported: it shows images, and the run has no encoder.
    """
    source = connect(config.env, config.arguments, config.horizon, action_range=config.action_range)
    if source.image is not None and config.encoder is None:
        raise checks.Unsupported(
            f"{config.env} shows images of {' x '.join(map(str, source.image))}, of which no world"
            " is learned as they are; --encoder latent or recurrent is what takes images."
        )
    return source if config.state_scale is None else source.scaled(scales(config.state_scale))


def planner_of(where: str) -> Callable[[MDP], Planner]:
    """What makes the planner of a name, or the user's `module:function`, in a world.

    Raises:
        Missing: there is no such function.
        BadArgument: there is none of that name.
    """
    if ":" in where:
        registry.import_function(where)
        return lambda world: registry.build_named(where, Planner, "--planner", world)
    checks.one_of("--planner", where, (*PLANNERS, "module:function"))
    return PLANNERS[where]


def require_planner(planner: Callable[[MDP], Planner], source: Source) -> None:
    """Build the planner once in a world of the source's form: what fails now would fail after the
    real steps are paid for.

    Raises:
        BadArgument: it cannot be built, or cannot plan with such actions.
    """
    planner(
        MDP(
            spec=source.blank_spec,
            dynamics=_same_state,
            reward=_zero,
            termination=never,
            initial=_same_state,
            discount=0.99,
        )
    )


def require_noise(config: RunConfig, action: Box | Discrete) -> None:
    """Require exploration noise that later rounds can collect with.

    Raises:
        BadArgument: the noise of discrete actions, which is a chance, is more than 1.
    """
    if config.rounds > 1 and isinstance(action, Discrete):
        checks.SHARE.check("--noise, the chance of a random action,", config.noise)


def require_members(caution: Caution, config: RunConfig) -> None:
    """Require members that can disagree where the caution is their doubt.

    Raises:
        BadArgument: the dynamics are to have a single member.
    """
    if isinstance(caution, EndInDoubt | PayForDoubt) and config.learn.fit.members < 2:
        raise checks.BadArgument(
            f"--learn.fit.members is 1 beside --caution {config.caution}; doubt is how far the"
            " members of an ensemble lie apart: two are needed."
        )


def _same_state(state: Any, *_: Any) -> Any:
    return state


def _zero(*_: Any) -> Any:
    return jnp.zeros(())


def encoder_of(where: str | None, action: Box | Discrete) -> Encoder | None:
    """What makes states of observations: `window:K`, the last K and the actions between them, or
    what the user's `module:function` makes; None where observations are states, or where the run
    learns its encoder.

    Raises:
        Missing: there is no such function.
        BadArgument: it is neither, or the function makes no encoder.
    """
    if where is None or where in ENCODER_KINDS:
        return None
    if window := WINDOW.fullmatch(where):
        return Window(_WINDOWS.check("the K of --encoder window:K", int(window[1])), action)
    if ":" not in where or where.startswith("window:"):
        raise checks.BadArgument(
            f"--encoder is {where!r}; window:K, such as window:4, {' or '.join(ENCODER_KINDS)},"
            " which are learned, or module:function of an encoder of your own, is needed."
        )
    return registry.build_named(where, Encoder, "--encoder")


def owned_data(config: RunConfig, source: Source) -> Dataset:
    """The owned data, of this task and enough to learn from: checked before a folder is made or one
    is cleared.
    """
    owned = datasets.load(str(config.data), parse_column_map(config.columns), source.components)
    require_match(owned, source, str(config.data))
    bought = used_data(owned, config)
    require_learnable(
        bought, source.state_size, source.action, known_reward=config.reward is not None
    )
    return owned


def checksum_of(owned: Dataset) -> int:
    """The checksum of all columns: rows are others where it is another."""
    columns = (np.ascontiguousarray(getattr(owned, name)) for name in COLUMNS)
    return functools.reduce(lambda before, column: zlib.crc32(column.data, before), columns, 0)


def used_data(owned: Dataset, config: RunConfig) -> Dataset:
    """What of the owned data is used: all, or the counts that are given."""
    transitions, labels = config.transitions, config.reward_labels
    if transitions is None and labels is None:
        return owned
    transitions = len(owned.transitions) if transitions is None else transitions
    return owned.buy(transitions, len(owned.labels) if labels is None else labels, config.seed)
