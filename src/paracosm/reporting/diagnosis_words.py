"""What an audit decided, in plain words: one paragraph for the verdict, one for the evidence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from paracosm.core.records import (
    Advice,
    Baselines,
    Cause,
    Diagnosis,
    Gap,
    Plausibility,
    SumCheck,
    Verdict,
    discounted,
)
from paracosm.reporting import finding_words, search_words, words
from paracosm.reporting.words import estimate_reading, reading

CAUSES: dict[Cause, str] = {
    "reward": "the reward model",
    "termination": "the end rule",
    "dynamics": "the dynamics model",
    "horizon": "the training horizon (the bootstrapped value and the edge of the data)",
}
_HORIZON_ADVICE = {
    "bootstrap": (
        "What narrows that gap is longer imagined rollouts or a better value, not more data"
    ),
    "edge": (
        "What narrows that gap is data where the policy wants to go, less caution, or a wider learn"
        " margin"
    ),
}
_SUMS: dict[SumCheck, str] = {
    "reweighted": (
        "the real return is taken from the terms themselves, so that their sum says nothing"
    ),
    "subset": (
        "a random subset of steps was audited: the terms sum to the gap on average, not exactly"
    ),
    "actions": (
        "the terms sum exactly through the recorded actions; what remains is the policy's"
        " arithmetic: an action recorded in 32 bits differs from its 64-bit copy by about 1e-7 of"
        " its range, as far as the world amplifies it"
    ),
}
_ROUNDED = (
    "Recorded actions differ from the policy's by up to {difference:.2%} of their range, far more"
    " than 32 bits do: record episodes of the policy itself."
)
_UNSTEADY = (
    "Either the world or the policy does not give the same answer twice, or imagination is chaotic"
    " over so many steps."
)
_LEAST_SHARE = 0.001  # of a return: a smaller gap hides in four digits and in tenths of a percent
_SURE = 100.0  # half widths: beyond, a larger ratio says nothing more
_TOTALS = ("total", "total, training")  # names of the gaps among the shares of imagination


def with_sentences(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis with its texts."""
    return dataclasses.replace(
        diagnosis,
        findings=tuple(map(finding_words.with_sentence, diagnosis.findings)),
        precision=precision(diagnosis),
        verdict=verdict(diagnosis),
        verdict_training=verdict_training(diagnosis),
        explanation=explanation(diagnosis),
        explanation_training=explanation_training(diagnosis),
    )


def with_remarks(
    diagnosis: Diagnosis, *, note: str = "", remarks: tuple[str, ...] = (), bits: str = ""
) -> Diagnosis:
    """The diagnosis of somebody's models with what is special about them.

    Args:
        diagnosis: With its texts.
        note: What goes before the verdict, or nothing.
        remarks: Sentences that go behind it; empty ones are left out.
        bits: Which parts answer in fewer bits than they are asked in, or nothing.
    """
    sums = diagnosis.precision
    return dataclasses.replace(
        diagnosis,
        verdict=" ".join(filter(None, (note, diagnosis.verdict, *remarks))),
        precision=f"{sums}; answers are of fewer bits: {bits}" if bits else sums,
    )


def why_unbounded(parts: tuple[str, ...]) -> str:
    """Why an audit of somebody's models has no bounds by default."""
    named = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return (
        f"The gap is not bounded, since the layers of {named} are not known; in Python,"
        " certify=True shows the steepest slopes that were seen."
    )


def verdict(diagnosis: Diagnosis) -> str:
    """Size of the whole-episode gap, its main cause with the interval, or what would settle it;
    before it that the policy is no better than what acted in the data, and that its search
    left more than the gap can be.
    """
    search = diagnosis.search
    blamed = search_words.sentence(search) if search is not None and search.leads else ""
    if diagnosis.decision.unfit:
        return " ".join(filter(None, (blamed, _no_verdict_sentence(diagnosis))))
    sentences = standing_of_policy(diagnosis), blamed, _gap_sentence(diagnosis)
    return " ".join(filter(None, sentences))


def verdict_training(diagnosis: Diagnosis) -> str:
    """How and why the verdict on what training believed differs from that on whole episodes; empty
    where it does not.
    """
    decided, gap = diagnosis.decision_training, diagnosis.gap_training
    if decided is None or gap is None or not decided.differs:
        return ""
    reported, discount = diagnosis.discount, diagnosis.training_discount
    steps, rollout = diagnosis.horizon, diagnosis.training_horizon
    real, predicted = _both_returns(gap)
    reasons = []
    if discount != reported:
        weighs = "all steps alike" if reported == 1 else f"step t by {reported:g}^t"
        reasons.append(
            f"a discount of {discount:g} puts 95% of the weight on the first"
            f" {decided.weighty_steps} of {steps} steps, while the gap of whole episodes weighs"
            f" {weighs}"
        )
    if rollout < steps:
        reasons.append(f"training imagined {rollout} steps and added a value for the rest")
    trained = diagnosis.horizon_parts is not None
    subject = "on what training believed" if trained else f"at the world's discount of {discount:g}"
    why = f", because {', and '.join(reasons)}" if reasons else ""
    return (
        f"The verdict {subject} is another{why}: there the real return is {real}, the predicted one"
        f" {predicted}, and the gap of {_gap_size(gap, decided.verdict)}"
        f" {_gap_clause(gap, decided.verdict)}."
    )


def explanation(diagnosis: Diagnosis) -> str:
    """Where in the episode and in which state components, and how sure."""
    errors = one_step_errors(diagnosis.baselines)
    if diagnosis.decision.unfit:
        return f"Still valid: {errors}."
    if diagnosis.advice is None:
        main = f"A world can be wrong and cost nothing: {errors}."
    else:
        main = _advice(diagnosis, diagnosis.advice)
    search = diagnosis.search
    sentences = (
        implausible(diagnosis.plausibility, _unit(diagnosis)),
        main,
        _why_wide(diagnosis),
        _why_ends_wide(diagnosis),
        noise_left(diagnosis),
        "" if search is None or search.leads else search_words.sentence(search),
    )
    return " ".join(filter(None, sentences))


def explanation_training(diagnosis: Diagnosis) -> str:
    """What the horizon term of the training gap is made of, and what narrows it where it leads;
    else empty.
    """
    decided, parts = diagnosis.decision_training, diagnosis.horizon_parts
    if decided is None or parts is None or decided.horizon_part is None:
        return ""
    named = {
        "the value that ended its rollouts": parts.bootstrap,
        "the price of caution": parts.edge,
    }
    shares = [
        f"{estimate_reading(part, sign='+')} is {name}"
        for name, part in named.items()
        if (part.mean, part.low, part.high) != (0, 0, 0)
    ]
    return f"Of its horizon term {' and '.join(shares)}. {_HORIZON_ADVICE[decided.horizon_part]}."


def precision(diagnosis: Diagnosis) -> str:
    """What bounds how well the terms sum to the gap."""
    remarks = diagnosis.remarks
    sums = _sums_of_draws(diagnosis) if remarks.sums == "stochastic" else _SUMS[remarks.sums]
    if not remarks.finite_differences:
        return sums
    parts = ", ".join(remarks.finite_differences)
    return f"{sums}; no derivatives are available of {parts}: finite differences stand for them"


def _sums_of_draws(diagnosis: Diagnosis) -> str:
    share, imagination = diagnosis.remarks.noise_share, diagnosis.imagination
    if imagination is None or share is None:
        how = "the terms sum to the gap on average, not exactly"
    else:
        how = (
            f"the terms are means over {imagination.draws} imagined draws, which make at most"
            f" {share:.0%} of the variance of any; they sum to the gap exactly where the policy's"
            " mode plays, else on average"
        )
    return f"the world or the policy is stochastic: {how}"


def _unit(diagnosis: Diagnosis) -> str:
    """Words that tell returns from discounted ones beside them."""
    return "" if diagnosis.discount == 1 else ", not discounted"


def standing_of_policy(diagnosis: Diagnosis) -> str:
    """That the policy is no better than what acted in the data; empty where it is, or nothing is
    known of those.
    """
    how, reference = diagnosis.remarks.policy, diagnosis.reference
    if how is None or reference is None or reference.returns is None:
        return ""
    return (
        f"The policy is {how} than {reference.policy}: its real return is"
        f" {estimate_reading(diagnosis.real_return, 4)}{_unit(diagnosis)}, that of"
        f" {reference.policy} {estimate_reading(reference.returns, 4)}."
    )


def implausible(plausibility: Plausibility, unit: str = "") -> str:
    """That imagined returns are impossible by the recorded rewards; empty where they are not.

    `unit` tells these returns from discounted ones beside them.
    """
    if not plausibility.impossible:
        return ""
    low, high = plausibility.allowed
    left = (
        "; imagined states leave the range of the recorded ones from step"
        f" {plausibility.first_step} on"
        if plausibility.first_step is not None
        else "; imagined states stay in the range of the recorded ones, so the rewards are wrong"
    )
    subject = (
        f"{plausibility.impossible} of {plausibility.episodes} imagined"
        f" returns{unit and unit + ','}"
    )
    return (
        f"{subject} are impossible: the recorded rewards allow {reading(low, 4)} to"
        f" {reading(high, 4)} in so many steps{left}."
    )


def _why_wide(diagnosis: Diagnosis) -> str:
    """Why intervals are much wider than the episodes differ; empty where they are not."""
    reward, n = diagnosis.remarks.unseen_reward, diagnosis.real_return.n
    if reward is None:
        return ""
    return (
        f"The intervals are wide because a reward of {reading(reward, 4)} was recorded that none of"
        f" these {words.episodes(n)} held: so few cannot exclude rare episodes that hold it,"
        " perhaps at many steps; twice as many halve that doubt."
    )


def _why_ends_wide(diagnosis: Diagnosis) -> str:
    """Why the interval of the end rule is wide though nothing ended; empty where it is not."""
    total = diagnosis.gap.total
    if not (diagnosis.remarks.unseen_ends and math.isfinite(total.low)):
        return ""
    return (
        f"The end rule's interval is wide because none of these {words.episodes(total.n)} ended and"
        " the world's rule never said so: the interval allows for ends that so few cannot exclude."
    )


def noise_left(diagnosis: Diagnosis) -> str:
    """That imagined draws, which cost no real episode, were stopped too early; empty where they
    were not.
    """
    imagination, name = diagnosis.imagination, diagnosis.remarks.noisiest
    if imagination is None or not imagination.capped:
        return ""
    draws = (
        f"{imagination.draws} imagined draw{'s' if imagination.draws > 1 else ''}, where the audit"
        " stops"
    )
    if name is None:
        return (
            f"With {draws}, the noise of imagination is in every interval: real episodes narrow"
            " only the rest."
        )
    named = "gap" if name in _TOTALS else f"{name} term"
    return (
        f"With {draws}, imagination still makes {imagination.share[name]:.0%} of the variance of"
        f" the {named}: real episodes narrow only the rest."
    )


def one_step_errors(errors: Baselines) -> str:
    """The one-step errors beside those of the simplest predictors, as a clause."""
    return (
        f"its one-step errors are, in scaled states, {reading(errors.dynamics)} of the dynamics"
        f" (the mean next state {reading(errors.mean_next_state)}, no change"
        f" {reading(errors.persistence)}), and {reading(errors.reward)} of the reward (the mean"
        f" reward {reading(errors.mean_reward)})"
    )


def _gap_sentence(diagnosis: Diagnosis) -> str:
    gap, decision = diagnosis.gap, diagnosis.decision
    unit = "" if diagnosis.discount == 1 else f" ({discounted(diagnosis.discount)})"
    real, predicted = _both_returns(gap)
    return (
        f"The imagined return is {predicted}{unit}, the real return is {real}: the gap of"
        f" {_gap_size(gap, decision)} {_gap_clause(gap, decision)}."
    )


def _both_returns(gap: Gap) -> tuple[str, str]:
    """The real and the predicted return, with the digits that tell them apart where the gap is more
    than rounding.
    """
    size, larger = abs(gap.total.mean), max(abs(gap.real.mean), abs(gap.predicted.mean))
    if not gap.rounding < size < min(1.0, _LEAST_SHARE * larger):
        return reading(gap.real.mean, 4), reading(gap.predicted.mean, 4)
    decimals = max(0, 1 - math.floor(math.log10(size)))
    return f"{gap.real.mean:,.{decimals}f}", f"{gap.predicted.mean:,.{decimals}f}"


def _gap_size(gap: Gap, decision: Verdict) -> str:
    """The gap as a number and as a share of the larger return, and whether it may be none."""
    share = "" if decision.share is None else f" ({_share(gap, decision.share)})"
    doubt = ", not clearly different from zero," if decision.doubtful else ""
    return f"{reading(gap.total.mean, sign='+')}{share}{doubt}"


def _share(gap: Gap, share: float) -> str:
    """The gap over the larger return; one beyond rounding is never none."""
    seen = share >= _LEAST_SHARE or abs(gap.total.mean) <= gap.rounding
    return f"{f'{share:.1%}' if seen else words.percent(share)} of the larger return's size"


def _gap_clause(gap: Gap, decision: Verdict) -> str:
    """The rest of a sentence that begins with the gap: what it comes from."""
    if decision.kind == "rounding":
        return "is no more than rounding, and so is every cause" + _no_reward_clause(decision)
    if decision.kind == "unseen":
        return (
            f"is no more than rounding in these {gap.total.n} episodes, and so is every cause;"
            f" {_rare_reach_clause(decision)}"
        )
    if decision.kind == "undetermined":
        return _undetermined_clause(gap, decision)
    if decision.kind == "cancels":
        return _cancelling_clause(gap, decision)
    if decision.kind == "unexplained":
        return _unexplained_clause(gap, decision)
    against = (
        ""
        if decision.opposing is None
        else f"; {_cause(gap, decision.opposing)}, is clearly wrong too, and works against it"
    )
    return f"{_explained_clause(gap, decision)}{against}"


def _undetermined_clause(gap: Gap, decision: Verdict) -> str:
    """No cause is clear: none is needed where the whole interval of the gap is small."""
    if gap.small:
        return (
            f"is small: by its 95% interval it is at most {words.number(gap.reach)}, and no cause"
            " of it is clear"
        )
    if decision.missed_by_subset is not None:
        return (
            f"has an undetermined cause: the {decision.few_steps:,} steps that were audited are too"
            f" few, since their terms miss the gap by {reading(abs(decision.missed_by_subset))};"
            " more of them would settle it"
        )
    return (
        "has an undetermined cause, since every interval that is beyond rounding includes zero;"
        f" {remedy(gap, decision)} would narrow them"
    )


def _no_reward_clause(decision: Verdict) -> str:
    if not decision.unpaid:
        return ""
    return "; no reward was seen in either, so that nothing tells one model from another"


def _rare_reach_clause(decision: Verdict) -> str:
    """How large rarer episodes may make the gap by its interval, on either side, where a range is
    known.
    """
    if decision.reach is None or math.isinf(decision.reach):
        return (
            "no other return was ever seen and no range of returns is known, so that no size can"
            " be given"
        )
    return (
        f"so few cannot exclude that rarer ones make it up to {reading(decision.reach)} on average"
    )


def remedy(gap: Gap, decision: Verdict, unsure: Iterable[Cause] = ()) -> str:
    """What narrows the intervals of the `unsure` terms, or of all that depend on audited steps."""
    if decision.lacks_steps(unsure):
        return f"more audited steps than {decision.few_steps:,}"
    return f"more evaluation episodes than {gap.total.n}"


def _cause(gap: Gap, cause: Cause | None) -> str:
    """A cause by name, with its term; empty without a cause."""
    if cause is None:
        return ""
    return f"{CAUSES[cause]}, {estimate_reading(getattr(gap, cause), sign='+')}"


def _cancelling_clause(gap: Gap, decision: Verdict) -> str:
    unsure = " and ".join(CAUSES[cause] for cause in decision.unsure)
    what_settles = remedy(gap, decision, decision.unsure)
    doubt = f"; it is not clear about {unsure}, which {what_settles} would settle" if unsure else ""
    return (
        f"is what remains of errors that cancel: {_cause(gap, decision.lead)}, against"
        f" {_cause(gap, decision.opposing)}{doubt}"
    )


def _unexplained_clause(gap: Gap, decision: Verdict) -> str:
    doubt = "".join(f"{_cause(gap, cause)}, is unsure; " for cause in decision.unsure)
    return (
        f"has an undetermined cause: {_cause(gap, decision.opposing)}, is clearly wrong but works"
        f" the other way; {doubt}{remedy(gap, decision, decision.unsure)} would settle it"
    )


def _explained_clause(gap: Gap, decision: Verdict) -> str:
    clear = ", and ".join(_cause(gap, cause) for cause in (decision.lead, *decision.together))
    worst = (
        ""
        if decision.worst_part is None
        else f"; the learned part that is most clearly wrong is {_cause(gap, decision.worst_part)}"
    )
    if decision.lead_share == "in part":
        rival = " and ".join(_cause(gap, cause) for cause in decision.unsure)
        return (
            f"comes in part from {clear}; {rival}, may weigh more, which"
            f" {remedy(gap, decision, decision.unsure)} would settle{worst}"
        )
    if decision.lead_share == "together":
        return f"comes from {clear}; their intervals overlap{worst}"
    if decision.lead_share == "most":
        back = (
            ""
            if decision.taken_back is None
            else f", of which {_cause(gap, decision.taken_back)}, takes part back"
        )
        return f"comes most from {clear}{back}{worst}"
    return f"comes from several causes, more from {clear} than from any other{worst}"


def _no_verdict_sentence(diagnosis: Diagnosis) -> str:
    """Why no cause may be named: the first sentence instead of a verdict."""
    decision = diagnosis.decision
    if decision.kind == "unfit-by-other-actions":
        return (
            f"No verdict: {diagnosis.other_actions:,} of the {diagnosis.real_steps:,} recorded"
            " actions are not the policy's, so that the terms explain another"
            f" gap{_missed_share(diagnosis)}; record episodes of the policy itself."
        )
    if decision.kind in ("unfit-by-states", "unfit-by-return"):
        return (
            f"No verdict: the world is broken on these episodes: {_how_broken(diagnosis)}. No term"
            " is an estimate of anything."
        )
    rounded = decision.kind == "unfit-by-rounded-actions"
    why = _ROUNDED.format(difference=decision.action_difference) if rounded else _UNSTEADY
    return (
        f"No verdict: the terms should sum to the gap{_missed_share(diagnosis)}, more than rounding"
        f" explains. {why}"
    )


def _missed_share(diagnosis: Diagnosis) -> str:
    share = diagnosis.decision.missed_share
    if share is None:
        return ""
    return f" and miss it by {reading(diagnosis.missed)} an episode, {share:.0%} of their size"


def _how_broken(diagnosis: Diagnosis) -> str:
    plausibility = diagnosis.plausibility
    if diagnosis.decision.kind == "unfit-by-states":
        return (
            f"imagined states leave the recorded range at step {plausibility.first_step} and are"
            f" {_magnitude(plausibility.farthest)} times it at step {plausibility.farthest_step}"
        )
    low, high = plausibility.allowed
    return (
        f"the imagined return of {reading(diagnosis.gap.predicted.mean)} is beyond anything that"
        f" the recorded rewards allow ({reading(low, 4)} to {reading(high, 4)})"
    )


def _magnitude(value: float) -> str:
    if not math.isfinite(value):
        return "infinitely many"
    return f"{value:.0f}" if value < 1e6 else f"1e{math.floor(math.log10(value))}"


def _advice(diagnosis: Diagnosis, advice: Advice) -> str:
    if advice.blamed is None:
        return (
            f"How sure: by {words.episodes(diagnosis.gap.total.n)} no part's share of this gap is"
            " clear."
        )
    alone = "To mend one part alone may widen the gap, since others work against it."
    sentences = [
        alone if advice.alone else "",
        _steps_sentence(diagnosis, advice),
        _components_sentence(diagnosis, advice) if advice.blamed == "dynamics" else "",
        _certainty_sentence(diagnosis.gap, advice),
    ]
    return " ".join(filter(None, sentences))


def _steps_sentence(diagnosis: Diagnosis, advice: Advice) -> str:
    """The steps by which half and nine tenths of the absolute term have come."""
    steps = len(diagnosis.causes[str(advice.blamed)].absolute)
    return (
        f"Half of the {advice.blamed} term's size comes in the first {advice.half_by} of {steps}"
        f" steps, nine tenths in the first {advice.most_by}."
    )


def _components_sentence(diagnosis: Diagnosis, advice: Advice) -> str:
    """The state components that are clearly wrong, the largest first, or that none is; empty where
    the term was not split.
    """
    if not diagnosis.dynamics_by_dimension.dimensions:
        return ""
    if not advice.components:
        return "No single state component is clearly to blame."
    split = diagnosis.dynamics_by_dimension
    named = ", ".join(
        f"{words.component(i, split.components)} ({reading(split.dimensions[i].mean, sign='+')})"
        for i in advice.components
    )
    return f"State component{'s' if len(advice.components) > 1 else ''} to look at: {named}."


def _certainty_sentence(gap: Gap, advice: Advice) -> str:
    term, ratio = getattr(gap, str(advice.blamed)), advice.half_widths
    times = f"{ratio:.1f} times" if ratio < _SURE else f"more than {_SURE:.0f} times"
    return (
        f"How sure: over {term.n} episodes the {advice.blamed} term is {times} as far from zero"
        " as from the end of its 95% interval that is nearer to zero."
    )
