"""The one thing to do first, as a sentence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from paracosm.core.records import Cause, Diagnosis, NextKind, NextStep
from paracosm.reporting.diagnosis_words import CAUSES, remedy
from paracosm.reporting.words import estimate_reading

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


def with_sentence(diagnosis: Diagnosis, step: NextStep) -> Diagnosis:
    """The diagnosis with its next step, and that in words."""
    return dataclasses.replace(
        diagnosis, next_step=step, next=_SENTENCES[step.kind](diagnosis, step)
    )


def _own_episodes(_: Diagnosis, _step: NextStep) -> str:
    return "record episodes of the policy itself."


def _same_answers(_: Diagnosis, _step: NextStep) -> str:
    return (
        "ask world and policy twice about the same step; where their answers agree, audit shorter"
        " episodes."
    )


def _finding(_: Diagnosis, step: NextStep) -> str:
    return f"mend what the finding on {step.finding} says."


def _nothing_learned(_: Diagnosis, step: NextStep) -> str:
    part = step.part or "dynamics"
    return (
        f"{CAUSES[part]} has learned next to nothing (held out, it errs {step.share:.0%} as much as"
        f" a constant), and a policy is only as good as the world that it is trained in:"
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
    verb = "is" if step.times is None else "may be"
    return (
        f"look at the function that was given for the {step.part}: where the policy goes it {verb}"
        " not the real one."
    )


def _observation(_: Diagnosis, _step: NextStep) -> str:
    return (
        "add to the observation what the reward depends on and the state does not show; more"
        " reward labels cannot mend it."
    )


def _search(diagnosis: Diagnosis, step: NextStep) -> str:
    if step.of_run and diagnosis.horizon_parts is None:
        return "let the planner search more, or play the plans of the other search for real."
    how = " (paracosm audit RUN --planner mppi)" if step.of_run else ""
    return f"train longer, or play the plans of a planner for real{how}."


def _policy(diagnosis: Diagnosis, step: NextStep) -> str:
    rival = diagnosis.reference.policy if diagnosis.reference else "what acted in the data"
    poor = f"the policy is no better than {rival}, in imagination neither"
    if diagnosis.search is not None:
        return (
            f"{poor}, and no other search finds a better one there: buy transitions that reach what"
            " pays."
        )
    if step.of_run and diagnosis.horizon_parts is None:
        return f"{poor}: let the planner search more, then buy transitions that reach what pays."
    others = f" ({_searching(diagnosis)} tries others)" if step.of_run else ""
    return (
        f"{poor}: train it longer or with another search{others}, then buy transitions that reach"
        " what pays."
    )


def _searching(diagnosis: Diagnosis) -> str:
    """The command that tries other searches, with the budget that they need."""
    needs = diagnosis.search_needs
    if diagnosis.search_failed:
        return "paracosm audit RUN --search NAMES"
    return f"paracosm audit RUN{'' if needs is None else f' --most-search-steps {needs}'}"


def _purchase(diagnosis: Diagnosis, step: NextStep) -> str:
    part, opposing = step.part or "dynamics", diagnosis.decision.opposing
    many = "; paracosm plan RUN says how many" if step.planned else ""
    sentences = [f"{_PURCHASE[part]}{many}."]
    if step.times is not None:
        term = getattr(diagnosis.gap, part)
        settles = remedy(diagnosis.gap, diagnosis.decision, [part])
        sentences.append(
            f"The term of {CAUSES[part]}, {estimate_reading(term, sign='+')}, is unsure but"
            f" {step.times:.0f} times as large as the clear one; {settles} would settle it."
        )
    elif diagnosis.decision.kind == "cancels" and opposing is not None:
        other = diagnosis.decision.lead if opposing == part else opposing
        sentences.append(f"Mend {CAUSES[other or opposing]} with it, since the two cancel.")
    return " ".join(sentences)


def _episodes(diagnosis: Diagnosis, step: NextStep) -> str:
    more, imagination = 4 * diagnosis.gap.total.n, diagnosis.imagination
    how = f" (paracosm audit RUN --episodes {more})" if step.of_run else ""
    too = _standing_open(diagnosis)
    capped = imagination is not None and imagination.capped
    unseen = diagnosis.decision.kind in ("unseen", "rounding")
    if capped or unseen or not math.isfinite(diagnosis.gap.reach):
        return f"record more real episodes: {more}{how}.{too}"
    narrower = "half" if diagnosis.remarks.unseen_reward is None else "a quarter"
    wide = f"make the intervals at most about {narrower} as wide"
    return f"record more real episodes: {more}{how} {wide}.{too}"


def _standing_open(diagnosis: Diagnosis) -> str:
    """That four times as many episodes may tell whether the policy is any good, too; empty where
    that is known, or where the spread of what acted in the data leaves it open.
    """
    reference, real = diagnosis.reference, diagnosis.real_return
    if diagnosis.remarks.policy != "not clearly better" or reference is None:
        return ""
    rival = reference.returns
    if rival is None or real.mean - rival.mean <= math.hypot(
        (real.mean - real.low) / 2, rival.high - rival.mean
    ):
        return ""
    return f" They may also tell whether the policy is better than {reference.policy}."


def _steps(diagnosis: Diagnosis, step: NextStep) -> str:
    if 4 * diagnosis.audited_steps >= diagnosis.real_steps:
        every = "--all-steps" if step.of_run else "most_imagined_steps = math.inf"
        return f"audit every recorded step ({every})."
    cost = 4 * diagnosis.imagined_steps
    how = "--most-imagined-steps" if step.of_run else "most_imagined_steps ="
    return (
        f"audit more of the recorded steps ({how} {cost}): four times as many make the intervals of"
        " the terms about half as wide."
    )


def _nothing(diagnosis: Diagnosis, step: NextStep) -> str:
    if diagnosis.search is not None or not step.of_run or diagnosis.horizon_parts is None:
        return "nothing of the world needs mending for this policy."
    return (
        "nothing of the world needs mending for this policy; whether there is a better one in it,"
        f" other searches tell ({_searching(diagnosis)})."
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
    "steps": _steps,
    "nothing": _nothing,
}
