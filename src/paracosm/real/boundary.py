"""The one checked boundary for what an environment does and answers.

No JAX in here: worker processes import it.

An answer that cannot be used becomes a `Fault`: what came and what is needed. Whoever plays the
episode adds the name of the environment and the step, so that one sentence says all of it.
"""

from __future__ import annotations

import logging
import math
import numbers
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.real.flattening import Leaf, PartMismatch, flat_row

_log = logging.getLogger("paracosm.real")

_RESET_FORM = "Gymnasium's reset(seed=...) -> (observation, info) is needed"
_STEP_FORM = (
    "Gymnasium's step(action) -> (observation, reward, terminated, truncated, info) is needed"
)
# Of images: a recording of larger ones takes gigabytes, and more channels are hardly an image's.
MOST_PIXELS, MOST_CHANNELS = 64, 12
_LONGEST = 300  # characters of an environment's own message that a sentence repeats
_HINT_FOR_MODULE = "; paracosm.foreign.policy(…) makes a policy of a PyTorch module"
_HINT_FOR_PAIR = "; paracosm.foreign.policy(model, …) makes a policy of a Stable-Baselines3 model"
# Where wrappers that start anew within a step say what the last observation was
_LAST_OBSERVATIONS = ("final_obs", "final_observation")


class EnvironmentStep(NamedTuple):
    """A checked answer of `step`; the observation is a new flat row `[state]` of its form."""

    observation: np.ndarray
    reward: float
    terminated: bool
    truncated: bool


class ObservationForm(NamedTuple):
    """What an environment's observation must be: a vector `shape`, an image, or parts that are
    flattened into a vector.

    An `image` is `(height, width, channels)`; the environment may leave out a single channel.
    `leaves` are the parts in the order of their columns, empty where there are none.
    """

    shape: tuple[int, ...]
    image: tuple[int, int, int] | None = None
    leaves: tuple[Leaf, ...] = ()

    @property
    def size(self) -> int:
        """Components of its flat row."""
        return math.prod(self.shape)

    @property
    def components(self) -> tuple[str, ...]:
        """What the components of a row are called; empty where the environment gives no names."""
        return tuple(name for leaf in self.leaves for name in leaf.components)

    @property
    def type(self) -> type[np.generic]:
        """The type of a row: uint8 of an image, else float32."""
        return np.float32 if self.image is None else np.uint8

    def blank(self, *leading: int) -> np.ndarray:
        """Rows of zeros, `[*leading, size]`."""
        return np.zeros((*leading, self.size), self.type)


class Fault(NamedTuple):
    """Why an environment cannot go on.

    Attributes:
        event: What happened, as the predicate of a sentence: `gave the reward nan`.
        needed: What is needed; empty where that is plain.
        culprit: What did it, where it was not the environment.
    """

    event: str
    needed: str = ""
    culprit: str = ""

    def sentence(self, name: str, place: str) -> str:
        """The sentence to show, of the environment `name` at `place`, such as `at step 3`."""
        head = f"{self.culprit or name} {self.event} {place}"
        return f"{head}; {self.needed}." if self.needed else f"{head}."


# No fault of the environment: whoever plays raises KeyboardInterrupt
STOPPED = Fault("was stopped with Ctrl-C")


class Misbehaved(Exception):
    """An environment did what it must not; `fault` says what."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(*fault)
        self.fault = fault


def raise_if_stopped(fault: Fault) -> None:
    """Raise KeyboardInterrupt where Ctrl-C stopped what was played."""
    if fault == STOPPED:
        raise KeyboardInterrupt


def reset(env: Any, seed: int, form: ObservationForm) -> np.ndarray:
    """Start an episode; returns the first observation, a flat row of the form's type.

    Raises:
        Misbehaved: the environment raised, or its answer is not of Gymnasium's form, or holds no
            finite array of this shape.
    """
    return _read_reset(_call(lambda: env.reset(seed=seed), _RESET_FORM), form)


def step(env: Any, action: Any, form: ObservationForm) -> EnvironmentStep:
    """Take a step; returns its answer with every entry in its type.

    Raises:
        Misbehaved: the environment raised, or its answer is not of Gymnasium's form, or an entry is
            not what it must be.
    """
    return _read_step(_call(lambda: env.step(action), _STEP_FORM), form)


def build(factory: Callable[[], Any], name: str) -> Any:
    """Call `factory`; `name` is what messages call what it builds.

    Raises:
        BadArgument: it raised or exited; its own message is part of the sentence.
        ParacosmError: whatever of ours it raised, unchanged.
    """
    try:
        return factory()
    except (checks.ParacosmError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise checks.BadArgument(
            f"{name} cannot be built: it {describe_exception(error)}."
        ) from error


def call_policy_function(function: Callable[[np.ndarray], Any], observation: np.ndarray) -> Any:
    """The action that a plain function gives for an observation: a new array.

    Raises:
        BadData: the function raised or exited, or gave a pair, as a model's `predict` does.
    """
    try:
        answer = function(observation)
        if isinstance(answer, tuple) and len(answer) == 2 and answer[1] is None:
            raise checks.BadData(
                "the policy gave a pair of an action and None; the action alone is"
                f" needed{_HINT_FOR_PAIR}."
            )
        return np.array(answer)  # a copy: some functions answer with a buffer of their own
    except (checks.BadData, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise checks.BadData(
            f"the policy {describe_exception(error)} at the observation {observation}"
            f"{_HINT_FOR_MODULE if 'must be Tensor' in _text(error) else ''}."
        ) from error


def describe_exception(error: BaseException) -> str:
    """What to say that something did: `raised ValueError: no road (world.py:12)`."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SystemExit):
        return (
            f"called sys.exit({'' if error.code is None else repr(error.code)[:_LONGEST]}){where}"
        )
    message = " ".join(_text(error).split())[:_LONGEST].rstrip(".")
    return f"raised {type(error).__name__}{': ' if message else ''}{message}{where}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception's own text may fail too
        return ""


def _call(call: Callable[[], Any], form: str) -> Any:
    """What the call of a method of an environment gives; `form` is what is needed of the method.

    Raises:
        Misbehaved: it raised or exited.
    """
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _log.debug("the environment failed", exc_info=True)
        if isinstance(error, TypeError) and "unexpected keyword argument 'seed'" in _text(error):
            raise Misbehaved(
                Fault("has a reset that takes no seed, as the old API's,", form)
            ) from error
        # Of a wrapper that unpacks what it wraps, whose answer has another form
        unpacking = isinstance(error, (TypeError, ValueError)) and "unpack" in _text(error)
        raise Misbehaved(Fault(describe_exception(error), form if unpacking else "")) from error


def _read_reset(answer: Any, form: ObservationForm) -> np.ndarray:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Misbehaved(Fault(f"answered reset with {_describe_answer(answer)}", _RESET_FORM))
    return _read_observation(answer[0], form)


def _read_step(answer: Any, form: ObservationForm) -> EnvironmentStep:
    if not isinstance(answer, (tuple, list)) or len(answer) != 5:
        old = ", as the old API does," if isinstance(answer, tuple) and len(answer) == 4 else ""
        raise Misbehaved(Fault(f"answered step with {_describe_answer(answer)}{old}", _STEP_FORM))
    observation, reward, terminated, truncated, info = answer
    step = EnvironmentStep(
        observation=_read_observation(observation, form),
        reward=_read_reward(reward),
        terminated=_read_flag("terminated", terminated),
        truncated=_read_flag("truncated", truncated),
    )
    if (step.terminated or step.truncated) and isinstance(info, dict):
        _require_last(step.observation, info, form)
    return step


def _require_last(observation: np.ndarray, info: dict[Any, Any], form: ObservationForm) -> None:
    """Require the observation of an episode's last step to be the one that `info` calls so.

    Raises:
        Misbehaved: it is another: that of the next episode's start.
    """
    for name in _LAST_OBSERVATIONS:
        try:
            last = _read_observation(info[name], form)
        except (KeyError, Misbehaved):  # another form: a key of the environment's own
            continue
        if not np.array_equal(last, observation):
            raise Misbehaved(
                Fault(
                    f"started anew within a step (its last observation is in info[{name!r}])",
                    "an environment without the wrapper that starts anew is needed",
                )
            )


def _read_observation(value: Any, form: ObservationForm) -> np.ndarray:
    if form.image is not None:
        return _read_image(value, form)
    if form.leaves:
        return _flatten_parts(value, form)
    needed = f"an array of {form.size} finite numbers is needed, as its observation space says"
    array = _array(value)
    if array is None or array.dtype.kind not in "biuf" or array.shape != form.shape:
        raise Misbehaved(Fault(f"gave the observation {describe_value(value)}", needed))
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = np.array(
            array, np.float32
        )  # a copy: some environments answer with the buffer that they go on with
    if not np.isfinite(narrow).all():
        raise Misbehaved(Fault(f"gave the observation {narrow}", "every entry must be finite"))
    return narrow


def _flatten_parts(value: Any, form: ObservationForm) -> np.ndarray:
    """The flat row of an observation of parts.

    Raises:
        Misbehaved: a part is not what its space says, or is not finite.
    """
    try:
        row = flat_row(value, form.leaves)
    except PartMismatch as error:
        needed = f"{error.leaf.requirement} is needed, as its observation space says"
        raise Misbehaved(Fault(_describe_mismatch(error), needed)) from error
    if not np.isfinite(row).all():
        at = int(np.argmin(np.isfinite(row)))
        event = f"gave {form.components[at]}, of its observation, as {row[at]}"
        raise Misbehaved(Fault(event, "every entry must be finite"))
    return row


def _describe_mismatch(error: PartMismatch) -> str:
    if error.missing:
        return f"gave an observation without {error.leaf.name}"
    if not error.leaf.path:
        return f"gave the observation {describe_value(error.value)}"
    return f"gave {error.leaf.name}, of its observation, as {describe_value(error.value)}"


def _read_image(value: Any, form: ObservationForm) -> np.ndarray:
    needed = f"a uint8 array of shape {form.shape} is needed, as its observation space says"
    array = _array(value)
    if array is None or array.dtype != np.uint8 or array.shape != form.shape:
        raise Misbehaved(Fault(f"gave the observation {describe_value(value)}", needed))
    return array.flatten()  # a copy, as of vectors


def _read_reward(value: Any) -> float:
    number = _number(value)
    if number is None:
        raise Misbehaved(Fault(f"gave the reward {describe_value(value)}", "one number is needed"))
    if not np.isfinite(number):
        raise Misbehaved(Fault(f"gave the reward {number}", "every entry must be finite"))
    if abs(number) > checks.LARGEST_32:
        raise Misbehaved(
            Fault(
                f"gave the reward {number}",
                f"at most {checks.LARGEST_32:g} in size is needed (32 bits)",
            )
        )
    return number


def _read_flag(name: str, value: Any) -> bool:
    number = _number(value)
    if number is None or number not in (0, 1):
        raise Misbehaved(
            Fault(f"gave {name} as {describe_value(value)}", "True or False is needed")
        )
    return bool(number)


def _number(value: Any) -> float | None:
    """A Python or NumPy number, or an array of one entry, as a float; anything else gives None."""
    try:
        if isinstance(value, numbers.Real):
            return float(value)
        array = _array(value)
        if array is None or array.dtype.kind not in "biuf" or array.size != 1:
            return None
        return float(array.reshape(()))
    except (OverflowError, TypeError, ValueError):
        return None


def _array(value: Any) -> np.ndarray | None:
    """The value as an array; None where NumPy cannot make one, such as of a ragged list."""
    try:
        return np.asarray(value)
    except Exception:  # a foreign object's own conversion may fail with anything
        return None


def describe_value(value: Any) -> str:
    """A wrong value in a few words: the value if it is short, else its kind and shape."""
    if value is None or isinstance(value, (str, bool, numbers.Number)):
        return repr(value)[:60]
    array = _array(value)
    if array is None or array.dtype.kind == "O":
        return f"a {type(value).__name__}"
    short = f" {np.array2string(array, threshold=4)}" if array.size <= 4 else ""
    return (
        f"a {type(value).__name__} of shape {array.shape} and type"
        f" {array.dtype}{' '.join(short.split(chr(10)))}"
    )


def _describe_answer(answer: Any) -> str:
    if isinstance(answer, (tuple, list)):
        return f"{len(answer)} values"
    return describe_value(answer)
