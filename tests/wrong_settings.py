"""Values of every numeric setting, wrong and right.

`python -m tests.wrong_settings` tries them without the type checker of the test run and prints, as
JSON, what did not go as it should, by setting.
"""

from __future__ import annotations

import json
import math
import re
import sys

import numpy as np

from paracosm.core.checks import BadArgument
from paracosm.imagination.pathwise import PathwiseSettings
from paracosm.imagination.settings import ImagineSettings
from paracosm.learning.settings import FitSettings, LearnSettings
from paracosm.loop.config import RunConfig

# By kind: wrong values, and right ones.
WRONG = (-1, math.nan, math.inf, -math.inf, "5", [], True, np.zeros(3), int, 10**400)
NEVER = (*WRONG, None)
NO_COUNT = (2.5, 2.0, 1e20, 10**19, np.float32(2))
COUNT = ((*NEVER, *NO_COUNT, 0), (np.int64(20), 20))
DEPTH = ((*NEVER, *NO_COUNT), (0, 2))
SEED = ((*NEVER, *NO_COUNT, 2**32), (0, 2**32 - 1))
POSITIVE = ((*NEVER, 0), (0.3, np.float32(0.5), 2))
NOT_NEGATIVE = (NEVER, (0, 0.3, np.float64(2)))
SHARE = ((*NEVER, 1.5), (0, 1, 0.5))
BELOW_ONE = ((*NEVER, 1, 1.5), (0, 0.5))
RATES = (
    (*NEVER, (), (0.0,), (1e-3, math.nan), (math.inf,), ("x",), (True,), (-1e-3,), 0.1),
    ((1e-3,), [1e-3, 1e-4]),
)
OPTIONAL_COUNT = ((*WRONG, *NO_COUNT, 0), (None, 20))
OPTIONAL_PRICE = ((*WRONG, 0), (None,))
OPTIONAL_SHARE = ((*WRONG, 1.5), (None, 0, 1, 0.5))
BOTH = ((0, 1, "True", None, np.ones(2)), (True, False))
INTERVAL = ((*WRONG, (1,), (2, 1), (1, 1), (0, math.inf)), (None, (-1, 1), [0, 2.5]))
TEXT = ((5, None, [], True), ("{}",))

FIELDS = {
    ImagineSettings: {
        **dict.fromkeys(
            ("rollouts", "horizon", "value_steps", "check", "patience", "most_steps", "width"),
            COUNT,
        ),
        "depth": DEPTH,
        **dict.fromkeys(("visited", "trace"), SHARE),
        **dict.fromkeys(("entropy", "least_gain"), NOT_NEGATIVE),
        "clip": POSITIVE,
        "rates": RATES,
        "squash": BOTH,
    },
    FitSettings: {
        **dict.fromkeys(
            (
                "members",
                "width",
                "depth",
                "batch",
                "patience",
                "least_steps",
                "most_steps",
                "most_epochs",
            ),
            COUNT,
        ),
        "rates": RATES,
        "keep": (("x", 5, None), ("best", "last")),
        "balanced": BOTH,
    },
    LearnSettings: {
        **dict.fromkeys(("validation", "held_out"), BELOW_ONE),
        "margin": NOT_NEGATIVE,
        **dict.fromkeys(("probabilistic", "restoring", "reward_at_ends"), BOTH),
        "capacity": COUNT,
    },
    PathwiseSettings: {
        **dict.fromkeys(("branches", "steps", "choice_steps", "width", "depth"), COUNT),
        **dict.fromkeys(("lambda_", "value_average", "policy_average"), SHARE),
        **dict.fromkeys(("value_rate", "clip"), POSITIVE),
        "groups": COUNT,
        "alpha": ((*NEVER, 0, 2), (0.3, np.float32(0.5))),
        "choice_entropy": NOT_NEGATIVE,
    },
    RunConfig: {
        **dict.fromkeys(("rounds", "workers", "episodes"), COUNT),
        **dict.fromkeys(("transitions", "reward_labels"), OPTIONAL_COUNT),
        **dict.fromkeys(("noise", "cost_dynamics", "cost_reward"), NOT_NEGATIVE),
        "seed": SEED,
        "discount": OPTIONAL_SHARE,
        "budget": OPTIONAL_PRICE,
        "action_range": INTERVAL,
        "env_kwargs": TEXT,
    },
}
BASE = {
    RunConfig: {"env": "CartPole-v1"},
    ImagineSettings: {"check": 1},
    FitSettings: {"least_steps": 1},
    PathwiseSettings: {"branches": 40},
}
ROWS = [(kind, name) for kind, names in FIELDS.items() for name in names]


def settings_with(kind, name, value):
    return kind(**{**BASE.get(kind, {}), name: value})


def refused(kind, name, value) -> bool:
    """Whether the value is refused in one sentence that names the setting."""
    called = f"--{name.replace('_', '-')}" if kind is RunConfig else name
    try:
        settings_with(kind, name, value)
    except BadArgument as refusal:
        return (
            re.fullmatch(rf"{called}(\[\d\])? is [^\n]*(must|needed)[^\n]*\.", str(refusal))
            is not None
        )
    return False


def preserved(kind, name, value) -> bool:
    """Whether the value comes back, as a plain Python number."""
    stored = getattr(settings_with(kind, name, value), name)
    return (
        stored == (tuple(value) if isinstance(value, list) else value)
        and type(stored).__module__ == "builtins"
    )


def problems(kind, name) -> list[str]:
    """What did not go as it should."""
    wrong, right = FIELDS[kind][name]
    accepted = [f"accepted: {type(value)}" for value in wrong if not refused(kind, name, value)]
    return accepted + [
        f"not kept: {value!r}" for value in right if not preserved(kind, name, value)
    ]


if __name__ == "__main__":
    json.dump([problems(*row) for row in ROWS], sys.stdout)
