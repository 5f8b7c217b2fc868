"""From bought data to a learned world: dynamics, reward and termination, each from its own data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.forms import require_shape
from paracosm.core.keys import stage_key
from paracosm.core.learned import Learned
from paracosm.core.mdp import MDP, Box, Discrete, Spec
from paracosm.core.noise import LabelNoise
from paracosm.core.precision import in_32_bits
from paracosm.core.records import PARTS, Part, PartFit
from paracosm.core.types import PRNGKey
from paracosm.learning.continued_split import continued_split, row_ids
from paracosm.learning.part_learner import (
    EnsembleDynamics,
    EnsembleReward,
    EnsembleTermination,
    Known,
    PartLearner,
)
from paracosm.learning.parts import Starts
from paracosm.learning.settings import LearnSettings
from paracosm.learning.splits import Split

__all__ = ["LearnSettings", "Learned", "learn"]

_DEFAULT = LearnSettings()
# Of transitions or labels: with the default shares one row validates and one is held out.
LEAST_ROWS = 10


@in_32_bits
def learn(
    data: Dataset,
    spec: Spec,
    *,
    discount: float = 0.95,
    seed: int = 0,
    round: int = 0,
    reward: Callable | None = None,
    termination: Callable | None = None,
    settings: LearnSettings = _DEFAULT,
    label_noise: LabelNoise | None = None,
    parts: Mapping[Part, PartLearner] | None = None,
    before: Learned | None = None,
) -> Learned:
    """Learn a world from bought transitions and reward labels.

    The dynamics and the end rule see the transitions only, the reward the labels only. A task whose
    data hold no end never ends.

    Args:
        data: Real steps and what was bought of them.
        spec: The task; its state scale is the unit of the dynamics' error.
        discount: The learned world's discount.
        seed, round: Randomness; each part has its own, so that one does not hang on another's data.
        reward, termination: Known `reward(s, a, s')` or `termination(s, a, s')`, used as they are
            instead of learned. A learner that clips rewards to what the data hold (pathwise) clips
            a known one too: it seeks no more reward than a bought step had.
        settings: See `LearnSettings`.
        label_noise: Put on the bought labels before the reward is fitted, the same on a label in
            every round; its held-out error is then measured on noisy labels too.
        parts: Part learners in place of the ensembles, by part (`dynamics`, `reward`,
            `termination`).
        before: A world whose networks the ensembles go on from, such as that of the round before;
            `settings.fit` then says how much more they are fitted. Rows that a
            `Learned` of `learn` was fitted to are not held out, if its part was learned by these
            ensembles; a world that was stored does not say which they are.

    Raises:
        BadArgument: an argument of another kind, or a part learner whose fit gives something else.
        BadData: a known reward that is not one number of one step; data of another task; fewer than
            10 transitions, or fewer than 10 labels and no known reward; no bought row that starts
            an episode; a fit that diverges.
    """
    _check_kinds(
        data,
        spec,
        reward=reward,
        termination=termination,
        settings=settings,
        label_noise=label_noise,
    )
    checks.in_unit_interval("discount", discount)
    checks.seed("seed", seed)
    checks.count("round", round, 0)
    chosen = _choose_learners(parts, {"reward": reward, "termination": termination})
    if label_noise is not None and "reward" in chosen:
        raise checks.BadArgument(
            "label_noise is given beside a reward that is not the ensemble of `learn`; give it to"
            " that part learner."
        )
    known = chosen.get("reward")
    if known_reward := isinstance(known, Known):
        _require_number(known.function, spec)
    require_learnable(data, spec.state_size, spec.action, known_reward=known_reward)
    keys: dict[Part, PRNGKey] = {part: stage_key(seed, part, round) for part in PARTS}
    splits = _splits(data, chosen, before, keys, settings)
    warm_start = {} if before is None else {part: getattr(before.world, part) for part in PARTS}

    def fit(part: Part, ensemble: PartLearner) -> tuple[Callable[..., Any], PartFit]:
        learner = chosen.get(part, ensemble)
        return _require_fit(part, learner, learner.fit(data, spec, keys[part]))

    ends, end_fit = fit(
        "termination",
        EnsembleTermination(settings, warm_start.get("termination"), splits.get("termination")),
    )
    dynamics, dynamics_fit = fit(
        "dynamics",
        EnsembleDynamics(settings, warm_start.get("dynamics"), splits.get("dynamics")),
    )
    learned_reward, reward_fit = fit(
        "reward",
        EnsembleReward(
            settings,
            label_noise,
            seed,
            before=warm_start.get("reward"),
            ends=ends if settings.reward_at_ends else None,
            split=splits.get("reward"),
        ),
    )
    world = MDP(
        spec,
        dynamics,
        learned_reward,
        ends,
        Starts(jnp.asarray(data.initial)),
        discount,
        domain=getattr(dynamics, "domain", None),
    )
    fits = {"dynamics": dynamics_fit, "reward": reward_fit, "termination": end_fit}
    # A growing split need not be remembered: it follows from the rows and settings alone.
    remember_splits = settings.fit.keep == "best" or (before is not None and bool(before.splits))
    return Learned(world, fits, _seen_rows(data, splits) if remember_splits else {})


def _splits(
    data: Dataset,
    chosen: Mapping[Part, PartLearner],
    before: Learned | None,
    keys: Mapping[Part, PRNGKey],
    settings: LearnSettings,
) -> dict[Part, Split]:
    """The split of the rows of every part that an ensemble of `learn` is fitted to.

    Args:
        data, before, settings: As in `learn`.
        chosen: The part learners that are given, which split their rows themselves.
        keys: Randomness of each part.
    """
    return {
        part: continued_split(before, part, data, key=keys[part], settings=settings)
        for part in PARTS
        if part not in chosen
    }


def _seen_rows(data: Dataset, splits: Mapping[Part, Split]) -> dict[str, tuple[np.ndarray, ...]]:
    """The identities of the rows on each side of each part's split; see `Learned.splits`."""
    return {
        part: tuple(row_ids(data, part)[rows] for rows in split) for part, split in splits.items()
    }


def _choose_learners(
    parts: Mapping[Part, PartLearner] | None, known: Mapping[Part, Callable | None]
) -> dict[Part, PartLearner]:
    """The part learners that are given, known functions among them.

    Raises:
        BadArgument: a part that a world does not have, no part learner, or a part given twice.
    """
    chosen: dict[Part, PartLearner] = {
        part: Known(part, function) for part, function in known.items() if function is not None
    }
    for part, learner in ({} if parts is None else parts).items():
        checks.one_of("a part to learn", part, PARTS)
        checks.of_kind(f"the part learner of {part}", learner, PartLearner, "a PartLearner")
        if part in chosen:
            raise checks.BadArgument(
                f"the {part} is given twice, as a known function and as a part learner; one is"
                " needed."
            )
        if isinstance(learner, Known) and learner.part != part:
            raise checks.BadArgument(f"the known {learner.part} is given as the {part}.")
        chosen[part] = learner
    return chosen


def _require_fit(
    part: Part, learner: PartLearner, answer: Any
) -> tuple[Callable[..., Any], PartFit]:
    """What a part learner gave: the part, and how it was fitted.

    Raises:
        BadArgument: it is something else, or of another part.
    """
    name = f"the fit of the part learner {type(learner).__name__}"
    pair = isinstance(answer, tuple) and len(answer) == 2
    if not pair or not callable(answer[0]) or not isinstance(answer[1], PartFit):
        raise checks.BadArgument(
            f"{name} gives {checks.described_pair(answer)}; a pair of a function and a PartFit is"
            " needed."
        )
    if answer[1].part != part:
        raise checks.BadArgument(
            f"{name} gives a PartFit of the {answer[1].part}; it is given as the {part}."
        )
    return answer


def _require_number(reward: Callable, spec: Spec) -> None:
    """Require a known reward that answers one step with one number.

    Raises:
        BadData: it fails, or answers in another shape.
    """
    discrete = isinstance(spec.action, Discrete)
    action = jnp.zeros((), jnp.int32) if discrete else jnp.zeros(spec.action.size)
    state = jnp.zeros(spec.state_size)
    require_shape("the known reward", lambda: reward(state, action, state), ())


def _check_kinds(
    data: Any, spec: Any, *, reward: Any, termination: Any, settings: Any, label_noise: Any
) -> None:
    """Require arguments of the right kinds.

    Args:
        data, spec, reward, termination, settings, label_noise: As in `learn`.
    """
    checks.of_kind("data", data, Dataset, "a Dataset, which collect gives,")
    checks.of_kind("spec", spec, Spec, "a Spec, which connect(env).spec(data) gives,")
    checks.of_kind("settings", settings, LearnSettings, "a LearnSettings")
    for name, part in (("reward", reward), ("termination", termination)):
        if part is not None:
            checks.function(name, part, "of (state, action, next_state), or None,")
    if label_noise is not None:
        checks.of_kind(
            "label_noise", label_noise, LabelNoise, "a LabelNoise of paracosm.noise, or None,"
        )


def require_learnable(
    data: Dataset, state_size: int, action: Box | Discrete, *, known_reward: bool
) -> None:
    """Require data of this task, and enough of them to learn a world from.

    Args:
        data: What was bought.
        state_size, action: Those of the task.
        known_reward: Whether the reward needs no labels.

    Raises:
        BadData: fewer rows than `LEAST_ROWS`, data of another task, or no bought row that starts an
            episode.
    """
    _require_rows("transitions", len(data.transitions))
    if not known_reward:
        _require_rows("reward labels", len(data.labels))
    _require_task(data, state_size, action)


def _require_task(data: Dataset, state_size: int, action: Box | Discrete) -> None:
    """States and actions of the data are the task's."""
    if data.state.shape[1] != state_size:
        raise checks.BadData(
            f"the data's states have {data.state.shape[1]} components; the environment's have"
            f" {state_size}."
        )
    if isinstance(action, Discrete):
        fits = data.action.ndim == 1 and bool(np.all((data.action >= 0) & (data.action < action.n)))
        needed = f"whole numbers from 0 to {action.n - 1}"
    else:
        fits, needed = data.action.shape[1:] == (action.size,), f"rows of {action.size} numbers"
    if not fits:
        raise checks.BadData(f"the data's actions are not the environment's; {needed} are needed.")
    if not len(data.initial):
        raise checks.BadData(
            "no bought row starts an episode; imagination needs at least one initial state."
        )


def _require_rows(what: str, rows: int) -> None:
    if rows < LEAST_ROWS:
        raise checks.BadData(
            f"the data hold {rows} {what}; at least {LEAST_ROWS} are needed to learn from them."
        )
