"""Records as rows of text, for the page and for the terminal alike."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from paracosm.core.records import Diagnosis, Estimate, Gap, PartFit, Training, Weights, discounted
from paracosm.core.records.decisions import Plan
from paracosm.core.records.discount import DiscountChoice
from paracosm.core.records.results import Comparison, Purchases, RunResult
from paracosm.core.records.search import SearchShare
from paracosm.reporting import assisted_words, search_words, words

EPISODE_NOTES = {
    "real": "in the real world",
    "imagined": "in the learned world, same first states",
    "gap": "real minus imagined",
    "reward": "learned reward wrong",
    "termination": "learned end of episode wrong",
    "dynamics": "learned next state wrong",
}
TRAINING_NOTES = {
    "real": "in the real world",
    "predicted": "imagined, with the value that training put at the end of its rollouts",
    "gap": "real minus predicted",
    **{cause: EPISODE_NOTES[cause] for cause in ("reward", "termination", "dynamics")},
    "horizon": "rollouts cut short in training",
}

_MORE_DECIMALS = 3  # than the column has, for a term that these would hide
_RUNGS = {
    "global": "global constants (Lemma 1)",
    "split": "split by state and action",
    "closed_loop": "closed loop",
    "trajectory": "along the trajectory",
    "value": "through the value",
    "mean_error": "mean error",
}


class Row(NamedTuple):
    """A named number with its interval and a note; `name` is a cause's where it is one."""

    name: str
    value: str
    interval: str
    note: str


class ComparedCell(NamedTuple):
    """A run's value; `apart` if its interval shares no point with the first run's."""

    value: str
    interval: str = ""
    apart: bool = False


class Compared(NamedTuple):
    """A quantity across runs."""

    name: str
    cells: tuple[ComparedCell, ...]


def row(name: str, estimate: Estimate, note: str = "", decimals: int | None = None) -> Row:
    """A row of an estimate.

    Args:
        name, note: Its head, and what stands behind it.
        estimate: The number and its interval.
        decimals: Shown of both; by default those that the interval supports.
    """
    return Row(name, words.mean(estimate, decimals), words.interval(estimate, decimals), note)


def gap_rows(diagnosis: Diagnosis) -> list[Row]:
    """Real and imagined return of whole episodes, the gap and its causes, decimals as the gap's
    where these show what an interval excludes.
    """
    notes = (
        EPISODE_NOTES
        if diagnosis.valid
        else {name: EPISODE_NOTES[name] for name in ("real", "imagined", "gap")}
    )
    return _gap(diagnosis.gap, notes, "imagined")


def training_rows_of_gap(diagnosis: Diagnosis) -> list[Row]:
    """Rows of the gap of what training believed; no rows where nothing was trained, or where the
    terms explain nothing.
    """
    if diagnosis.gap_training is None or not diagnosis.valid:
        return []
    notes = {
        name: note
        for name, note in TRAINING_NOTES.items()
        if diagnosis.horizon_parts or name != "horizon"
    }
    return _gap(diagnosis.gap_training, notes, "predicted")


def _gap(gap: Gap, notes: dict[str, str], prediction: str) -> list[Row]:
    decimals = _decimals(gap)
    terms = gap.__dict__ | {prediction: gap.predicted, "gap": gap.total}
    return [
        row(name, terms[name], note, _telling_decimals(terms[name], decimals, gap.rounding))
        for name, note in notes.items()
    ]


def _telling_decimals(term: Estimate, decimals: int, rounding: float) -> int:
    """So many decimals, or more where an interval that excludes zero would look as if it held it,
    or had no width.
    """
    ends = sorted((abs(term.low), abs(term.high)))
    if not (term.excludes_zero and rounding < ends[0] and ends[1] < math.inf):
        return decimals
    hidden = not round(ends[0], decimals) or round(ends[0], decimals) == round(ends[1], decimals)
    if not hidden or ends[0] == ends[1]:
        return decimals
    wanted = max(words.estimate_decimals(term), math.ceil(-math.log10(ends[0])))
    return max(decimals, min(wanted, decimals + _MORE_DECIMALS))


def _decimals(gap: Gap) -> int:
    """The decimals of the gap, so that a column of returns and terms can be added up; where the gap
    is no more than rounding, the decimals of the real return.
    """
    if gap.reach <= gap.rounding:
        return words.estimate_decimals(gap.real)
    return words.estimate_decimals(gap.total)


def beside_rows(diagnosis: Diagnosis) -> list[Row]:
    """What stands beside the gap: the return of what acted in the data, the real one with the help
    of imagination, that of best-guess actions, and what other searches reach.
    """
    rows, known = [], diagnosis.reference
    if known is not None and known.returns is not None:
        note = f"not discounted, {words.episodes(known.returns.n)}"
        rows.append(row(words.reference(known), known.returns, note))
    if diagnosis.assisted is not None:
        assisted = diagnosis.assisted
        rows.append(row("real, assisted", assisted.value, assisted_words.note(assisted)))
    if diagnosis.mode_versus_sampled is not None:
        note = f"imagined, {discounted(diagnosis.discount)}: best-guess actions against drawn ones"
        rows.append(row("mode − sampled", diagnosis.mode_versus_sampled, note))
    if diagnosis.search_needs is not None:
        note = f"{diagnosis.search_needs:,} imagined steps are needed (--most-search-steps)"
        rows.append(Row("other searches", "none", "", note))
    if diagnosis.search_failed:
        rows.append(Row("other searches", "failed", "", diagnosis.search_failed))
    return rows if diagnosis.search is None else [*rows, *_search_rows(diagnosis.search)]


def _search_rows(share: SearchShare) -> list[Row]:
    """By how much each other search is better than the policy in the world of training."""
    where = f"imagined, {discounted(share.discount)}, from {share.starts} starts"
    own = words.mean(share.imagined)
    return [
        row(
            f"{search_words.search_name(trial)} − policy",
            trial.better_by,
            f"{where}: {words.mean(trial.imagined)} against {own}, in the world of training",
        )
        for trial in share.trials
    ]


def absolute_rows(diagnosis: Diagnosis) -> list[Row]:
    """Per cause, the sizes of its contributions summed over the episode, whatever their signs."""
    decimals = _decimals(diagnosis.gap)
    return [
        Row(name, words.number(sum(cause.absolute), decimals), "", "")
        for name, cause in diagnosis.causes.items()
    ]


def certificate_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str, str]]:
    """Rung, certificate or estimate, bound, times the measured gap, why."""
    return [
        (
            _RUNGS.get(rung.rung, rung.rung),
            rung.kind,
            words.number(rung.value),
            words.number(rung.slack),
            rung.why,
        )
        for rung in diagnosis.certificates
    ]


def bracket_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str]]:
    """What, the constant's lower and upper end, certificate or estimate."""
    brackets = dict(diagnosis.lipschitz)
    if diagnosis.contraction is not None and diagnosis.discount != 1:
        brackets["discount × closed loop"] = diagnosis.contraction
    return [
        (
            name.replace("_", " "),
            words.number(bracket.lower),
            words.number(bracket.upper),
            bracket.kind,
        )
        for name, bracket in brackets.items()
    ]


def weight_rows(diagnosis: Diagnosis | Plan) -> list[tuple[str, str, str]]:
    """How weights were found, that of the dynamics and that of the reward, with their standard
    errors.
    """
    return [
        (weights.origin, weight(weights, "dynamics"), weight(weights, "reward"))
        for weights in diagnosis.weights
    ]


def weight(weights: Weights, part: str) -> str:
    """The weight of a part, ± its standard error where that is known."""
    value, unsure = words.number(getattr(weights, part)), weights.unsure.get(part, 0.0)
    return (
        f"{value} ± {words.number(unsure)}"
        if unsure > 1e-9 * abs(getattr(weights, part))
        else value
    )


def order_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str]]:
    """Part, its share at real states, at imagined states, and the mean of both."""
    if diagnosis.orders is None:
        return []
    terms = diagnosis.orders.__dict__

    def share(part: str, where: str) -> str:
        return words.estimate(terms[f"{part}_{where}"])

    return [
        (part, share(part, "at_real"), share(part, "at_imagined"), share(part, "shapley"))
        for part in ("reward", "model")
    ]


def fit_rows(fit: PartFit) -> list[tuple[str, str]]:
    """What is to say about the learning of a part, without what is not known."""
    members = (
        f"{words.number(min(fit.members))} to {words.number(max(fit.members))}"
        if fit.members
        else ""
    )
    rows = {
        "held-out error": words.estimate(fit.error) if fit.error else "",
        "each member's own": members,
        "constant predictor": words.number(fit.baseline) if fit.baseline is not None else "",
        "unit": fit.unit if fit.error else "",
        "rows used": f"{fit.rows:,}, of them {fit.held_out:,} held out" if fit.held_out else "",
        "stopped at epoch": ", ".join(map(str, fit.epochs)),
    }
    return [(name, text) for name, text in rows.items() if text]


def training_rows(
    training: Training, discount: DiscountChoice | None = None
) -> list[tuple[str, str]]:
    """How a policy was trained; runs from before discounts had reasons have none."""
    chosen = [] if discount is None else [("discount", words.discount(discount))]
    return [
        ("imagined return of what was kept, from its own starts", kept_return(training)),
        ("imagined steps", f"{training.imagined_steps:,}"),
        ("rollout length", f"{training.horizon:,} steps"),
        *chosen,
        (
            "at the data's edge",
            f"{words.percent(training.edge_share)} of training's imagined steps",
        ),
        ("time weighting", training.weighting),
        ("variance baseline", training.baseline),
        ("why it stopped", training.stop),
    ]


def kept_return(training: Training) -> str:
    """The imagined return of what a training gave."""
    kept = training.kept_return
    return "not measured" if kept is None else words.number(kept)


def purchase_rows(bought: Purchases) -> list[tuple[str, str, str, str]]:
    """What, how many, at which price, for how much in total."""
    lines = [
        ("transitions", bought.transitions, bought.price_transition),
        ("reward labels", bought.reward_labels, bought.price_reward_label),
    ]
    return [
        (name, f"{n:,}", words.unit_price(price), words.price(n * price))
        for name, n, price in lines
    ]


def compared_rows(comparison: Comparison) -> list[tuple[str, list[Compared]]]:
    """Groups of quantities across runs."""
    return [
        ("Return of a whole episode", _returns(comparison)),
        (
            "Gap of whole episodes, and its causes",
            _gaps(comparison, "gap", EPISODE_NOTES, "discount"),
        ),
        (
            "Gap of what training believed",
            _gaps(comparison, "gap_training", TRAINING_NOTES, "training_discount"),
        ),
        ("World model", _models(comparison)),
        ("Data, price and time", _costs(comparison)),
    ]


def differing_settings(comparison: Comparison) -> list[Compared]:
    """The settings in which the runs differ."""
    settings = [
        {"env": run.env, "seed": str(run.seed), **run.configuration}
        for run in comparison.runs.values()
    ]
    names = dict.fromkeys(itertools.chain.from_iterable(settings))
    rows = [
        Compared(name, tuple(ComparedCell(own.get(name, "–")) for own in settings))
        for name in names
    ]
    return [row for row in rows if len({cell.value for cell in row.cells}) > 1]


def _returns(comparison: Comparison) -> list[Compared]:
    return [
        _estimates("real", comparison, lambda run: run.diagnosis.real_return),
        _estimates("imagined", comparison, lambda run: run.diagnosis.imagined_return),
        _estimates("random or recorded", comparison, _reference),
    ]


def _reference(run: RunResult) -> Estimate | None:
    return None if run.diagnosis.reference is None else run.diagnosis.reference.returns


def _gaps(
    comparison: Comparison, which: str, notes: dict[str, str], discount: str
) -> list[Compared]:
    """One kind of gap of every run.

    Args:
        comparison: The runs.
        which: The diagnosis' field that holds the gap.
        notes: Its rows, by name.
        discount: The diagnosis' field that holds its discount.
    """
    fields = {name: {"imagined": "predicted", "gap": "total"}.get(name, name) for name in notes}
    gaps = [_estimates(name, comparison, _term(which, field)) for name, field in fields.items()]
    return [
        *gaps,
        _texts("discount", comparison, lambda run: f"{getattr(run.diagnosis, discount):g}"),
    ]


def _term(which: str, field: str) -> Callable[[RunResult], Estimate | None]:
    def term(run: RunResult) -> Estimate | None:
        gap = getattr(run.diagnosis, which)
        return None if gap is None else getattr(gap, field)

    return term


def _models(comparison: Comparison) -> list[Compared]:
    parts = dict.fromkeys(
        itertools.chain.from_iterable(run.fits for run in comparison.runs.values())
    )
    errors = [_estimates(f"{part} error", comparison, _error(part)) for part in parts]
    return [
        *errors,
        _texts(
            "informative horizon",
            comparison,
            lambda run: words.steps(run.diagnosis.informative_horizon),
        ),
        _texts("data edge share", comparison, lambda run: words.edge_share(run.diagnosis)),
    ]


def _error(part: str) -> Callable[[RunResult], Estimate | None]:
    return lambda run: run.fits[part].error if part in run.fits else None


def _costs(comparison: Comparison) -> list[Compared]:
    return [
        _texts("transitions", comparison, lambda run: f"{run.purchases.transitions:,}"),
        _texts("reward labels", comparison, lambda run: f"{run.purchases.reward_labels:,}"),
        _texts("price", comparison, lambda run: words.price(run.purchases.spent)),
        _texts("time", comparison, words.total_time),
    ]


def _texts(name: str, comparison: Comparison, text: Callable[[RunResult], str]) -> Compared:
    return Compared(name, tuple(ComparedCell(text(run)) for run in comparison.runs.values()))


def _estimates(
    name: str, comparison: Comparison, of: Callable[[RunResult], Estimate | None]
) -> Compared:
    estimates = [of(run) for run in comparison.runs.values()]
    first = estimates[0] if words.is_of_one_task(comparison) else None
    return Compared(name, tuple(_cell(estimate, first) for estimate in estimates))


def _cell(estimate: Estimate | None, first: Estimate | None) -> ComparedCell:
    if estimate is None:
        return ComparedCell("–")
    apart = first is not None and not words.overlap(estimate, first)
    return ComparedCell(words.mean(estimate), words.interval(estimate), apart)
