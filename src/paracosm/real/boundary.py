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
from paracosm.real.flattening import Leaf, Unlike, flat_row

_log = logging.getLogger("paracosm.real")

_RESET_FORM = "Gymnasium's reset(seed=...) -> (observation, info) is needed"
_STEP_FORM = (
    "Gymnasium's step(action) -> (observation, reward, terminated, truncated, info) is needed"
)
# Of images: a recording of larger ones takes gigabytes, and more channels are hardly an image's.
MOST_PIXELS, MOST_CHANNELS = 64, 12
_LONGEST = 300  # characters of an environment's own message that a sentence repeats


class EnvironmentStep(NamedTuple):
    """A checked answer of `step`: a new array `[state]` of its form's type, a number, two flags."""

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
        """Of a row: bytes of an image, else float32."""
        return np.float32 if self.image is None else np.uint8

    def blank(self, *leading: int) -> np.ndarray:
        """Rows of zeros, `[*leading, size]`."""
        return np.zeros((*leading, self.size), self.type)


class Fault(NamedTuple):
    """Why an environment cannot go on: what it did, and what is needed (empty where that is
    plain). `culprit` names what did it, where it was not the environment.
    """

    came: str
    needed: str = ""
    culprit: str = ""

    def sentence(self, name: str, place: str) -> str:
        """The sentence to show, of the environment `name` at `place`, such as `at step 3`."""
        head = f"{self.culprit or name} {self.came} {place}"
        return f"{head}; {self.needed}." if self.needed else f"{head}."


STOPPED = Fault(
    "was stopped with Ctrl-C"
)  # no fault of the environment: whoever plays raises KeyboardInterrupt


class Misbehaved(Exception):
    """An environment did what it must not; `fault` says what."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(*fault)
        self.fault = fault


def demand_going(fault: Fault) -> None:
    """Raise KeyboardInterrupt where Ctrl-C stopped what was played."""
    if fault == STOPPED:
        raise KeyboardInterrupt


def reset(env: Any, seed: int, form: ObservationForm) -> np.ndarray:
    """Start an episode: the first observation, a flat row of the form's type.

    Raises:
        Misbehaved: it raised, or its answer is not of Gymnasium's form, or holds no finite array of
            this shape.
    """
    return _started(_called(lambda: env.reset(seed=seed), _RESET_FORM), form)


def step(env: Any, action: Any, form: ObservationForm) -> EnvironmentStep:
    """Take a step; every entry is brought to its type, or refused.

    Raises:
        Misbehaved: it raised, or its answer is not of Gymnasium's form, or an entry is not what it
            must be.
    """
    return _stepped(_called(lambda: env.step(action), _STEP_FORM), form)


def built(factory: Callable[[], Any], name: str) -> Any:
    """What `factory` builds.

    Raises:
        BadArgument: it raised or exited; its own message is part of the sentence.
        ParacosmError: whatever of ours it raised, unchanged.
    """
    try:
        return factory()
    except (checks.ParacosmError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise checks.BadArgument(f"{name} cannot be built: it {happened(error)}.") from error


def acted(function: Callable[[np.ndarray], Any], observation: np.ndarray) -> Any:
    """What a plain function answers to an observation.

    Raises:
        BadData: it raised or exited.
    """
    try:
        return np.asarray(function(observation))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise checks.BadData(
            f"the policy {happened(error)} at the observation {observation}."
        ) from error


def happened(error: BaseException) -> str:
    """What an exception did, in the words of its message: `raised ValueError: no road
    (world.py:12)`.
    """
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


def _called(call: Callable[[], Any], form: str) -> Any:
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
        wrapped = isinstance(error, (TypeError, ValueError)) and "unpack" in _text(
            error
        )  # a wrapper got another form
        raise Misbehaved(Fault(happened(error), form if wrapped else "")) from error


def _started(answer: Any, form: ObservationForm) -> np.ndarray:
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Misbehaved(Fault(f"answered reset with {_form(answer)}", _RESET_FORM))
    return _observation(answer[0], form)


def _stepped(answer: Any, form: ObservationForm) -> EnvironmentStep:
    if not isinstance(answer, (tuple, list)) or len(answer) != 5:
        old = ", as the old API does," if isinstance(answer, tuple) and len(answer) == 4 else ""
        raise Misbehaved(Fault(f"answered step with {_form(answer)}{old}", _STEP_FORM))
    observation, reward, terminated, truncated, _ = answer
    return EnvironmentStep(
        _observation(observation, form),
        _reward(reward),
        _flag("terminated", terminated),
        _flag("truncated", truncated),
    )


def _observation(value: Any, form: ObservationForm) -> np.ndarray:
    if form.image is not None:
        return _picture(value, form)
    if form.leaves:
        return _row(value, form)
    needed = f"an array of {form.size} finite numbers is needed, as its observation space says"
    array = _array(value)
    if array is None or array.dtype.kind not in "biuf" or array.shape != form.shape:
        raise Misbehaved(Fault(f"gave the observation {described(value)}", needed))
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = np.array(
            array, np.float32
        )  # a copy: some environments answer with the buffer that they go on with
    if not np.isfinite(narrow).all():
        raise Misbehaved(Fault(f"gave the observation {narrow}", "every entry must be finite"))
    return narrow


def _row(value: Any, form: ObservationForm) -> np.ndarray:
    """The flat row of an observation of parts."""
    try:
        row = flat_row(value, form.leaves)
    except Unlike as error:
        needed = f"{error.leaf.needed} is needed, as its observation space says"
        raise Misbehaved(Fault(_unlike(error), needed)) from error
    if not np.isfinite(row).all():
        at = int(np.argmin(np.isfinite(row)))
        came = f"gave {form.components[at]}, of its observation, as {row[at]}"
        raise Misbehaved(Fault(came, "every entry must be finite"))
    return row


def _unlike(error: Unlike) -> str:
    if error.lacking:
        return f"gave an observation without {error.leaf.name}"
    if not error.leaf.path:
        return f"gave the observation {described(error.came)}"
    return f"gave {error.leaf.name}, of its observation, as {described(error.came)}"


def _picture(value: Any, form: ObservationForm) -> np.ndarray:
    needed = f"a uint8 array of shape {form.shape} is needed, as its observation space says"
    array = _array(value)
    if array is None or array.dtype != np.uint8 or array.shape != form.shape:
        raise Misbehaved(Fault(f"gave the observation {described(value)}", needed))
    return array.flatten()  # a copy, as of vectors


def _reward(value: Any) -> float:
    number = _number(value)
    if number is None:
        raise Misbehaved(Fault(f"gave the reward {described(value)}", "one number is needed"))
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


def _flag(name: str, value: Any) -> bool:
    number = _number(value)
    if number is None or number not in (0, 1):
        raise Misbehaved(Fault(f"gave {name} as {described(value)}", "True or False is needed"))
    return bool(number)


def _number(value: Any) -> float | None:
    """The number that a Python or NumPy number or an array of one entry is; None of
    anything else.
    """
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
    """The value as an array; None where NumPy makes none of it, such as of a ragged list."""
    try:
        return np.asarray(value)
    except Exception:  # a foreign object's own conversion may fail with anything
        return None


def described(value: Any) -> str:
    """A wrong value in a few words: itself if it is short, else its kind and shape."""
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


def _form(answer: Any) -> str:
    if isinstance(answer, (tuple, list)):
        return f"{len(answer)} values"
    return described(answer)
