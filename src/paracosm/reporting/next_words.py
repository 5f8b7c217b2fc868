"""The one thing to do first, as a sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from paracosm.core.records import Cause, Diagnosis, NextKind, NextStep
from paracosm.reporting.diagnosis_words import CAUSES

_PURCHASE: dict[Cause, str] = {
    "reward": "buy reward labels where the policy goes, or look at how rewards are recorded",
    "termination": (
        "check how terminations and time limits are recorded, and buy episodes that end"
    ),
    "dynamics": "buy transitions where the policy goes",
}
_LACKING: dict[Cause, str] = {
    "reward": (
        "give it if it is known (--reward module:function), or add to the observation what it"
        " depends on; else buy more reward labels"
    ),
    "termination": (
        "give it if it is known (--termination module:function), or check how terminations and time"
        " limits are recorded; else buy episodes that end"
    ),
    "dynamics": "check how states and actions are recorded; else buy more transitions",
}


def worded(diagnosis: Diagnosis, step: NextStep) -> Diagnosis:
    """The diagnosis with its next step, and that in words."""
    return dataclasses.replace(
        diagnosis, next_step=step, next=_SENTENCES[step.kind](diagnosis, step)
    )


def _of_run(diagnosis: Diagnosis) -> bool:
    """Whether Paracosm trained the policy, so that commands take its run directory."""
    return diagnosis.horizon_parts is not None


def _own_episodes(_: Diagnosis, _step: NextStep) -> str:
    return "record episodes of the policy itself."


def _same_answers(_: Diagnosis, _step: NextStep) -> str:
    return (
        "ask world and policy twice about the same step; where their answers agree, audit shorter"
        " episodes."
    )


def _finding(_: Diagnosis, step: NextStep) -> str:
    return f"mend what the finding on {step.finding} says, which more data cannot."


def _nothing_learned(_: Diagnosis, step: NextStep) -> str:
    part = step.part or "dynamics"
    return (
        f"{CAUSES[part]} has learned nothing that a constant does not know (it errs"
        f" {step.share:.0%} as much), and no policy is better than what it was trained on:"
        f" {_LACKING[part]}."
    )


def _broken(diagnosis: Diagnosis, _: NextStep) -> str:
    if diagnosis.decision.kind == "unfit-by-return":
        return "mend the reward model: its rewards are beyond anything recorded."
    return (
        "mend the dynamics model, or end imagined episodes where they leave the recorded states;"
        " data where the policy goes help both."
    )


def _given(_: Diagnosis, step: NextStep) -> str:
    return (
        f"look at the function that was given as {step.part}: where the policy goes it is not the"
        " real one."
    )


def _observation(_: Diagnosis, _step: NextStep) -> str:
    return (
        "add to the observation what the reward depends on and the state does not show; more"
        " reward labels cannot mend it."
    )


def _search(_: Diagnosis, _step: NextStep) -> str:
    return (
        "train longer, or play the plans of a planner for real (paracosm audit RUN --planner mppi)."
    )


def _policy(diagnosis: Diagnosis, _: NextStep) -> str:
    rival = diagnosis.reference.policy if diagnosis.reference else "what acted in the data"
    poor = f"the policy is no better than {rival}, in imagination neither"
    if diagnosis.search is not None:
        return (
            f"{poor}, and no other search finds a better one there: buy transitions that reach what"
            " pays."
        )
    others = " (paracosm audit RUN tries others)" if _of_run(diagnosis) else ""
    return (
        f"{poor}: train it longer or with another search{others}, then buy transitions that reach"
        " what pays."
    )


def _purchase(diagnosis: Diagnosis, step: NextStep) -> str:
    part = step.part or "dynamics"
    many = "; paracosm plan RUN says how many" if _of_run(diagnosis) else ""
    if step.times is None:
        return f"{_PURCHASE[part]}{many}."
    term = getattr(diagnosis.gap, part)
    return (
        f"{_PURCHASE[part]}{many}. The term of {CAUSES[part]}, {term:+.3g}, is unsure but"
        f" {step.times:.0f} times as large as the clear one; more evaluation episodes than"
        f" {term.n} would settle it."
    )


def _episodes(diagnosis: Diagnosis, _: NextStep) -> str:
    more = 4 * diagnosis.gap.total.n
    how = f" (paracosm audit RUN --episodes {more})" if _of_run(diagnosis) else ""
    narrower = "half" if diagnosis.remarks.unseen_reward is None else "a quarter"
    return f"record more real episodes: {more}{how} make the intervals about {narrower} as wide."


def _nothing(diagnosis: Diagnosis, _: NextStep) -> str:
    if diagnosis.search is not None or not _of_run(diagnosis):
        return "nothing of the world needs mending for this policy."
    return (
        "nothing of the world needs mending for this policy; whether there is a better one in it,"
        " other searches tell (paracosm audit RUN)."
    )


_SENTENCES: dict[NextKind, Callable[[Diagnosis, NextStep], str]] = {
    "own episodes": _own_episodes,
    "same answers": _same_answers,
    "finding": _finding,
    "nothing learned": _nothing_learned,
    "broken world": _broken,
    "given": _given,
    "observation": _observation,
    "search": _search,
    "policy": _policy,
    "purchase": _purchase,
    "episodes": _episodes,
    "nothing": _nothing,
}
