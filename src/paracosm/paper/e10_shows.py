"""What E10 shows beside its claims: set-up, choices, tables and charts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Series, Table
from paracosm.paper.e10_cells import DIRECTIONS, HORIZONS, RUNGS, SETS, STARTS, OrderSizes
from paracosm.paper.e10_numbers import (
    IN_ALL,
    MARGIN,
    UNTRAINED,
    Orders,
    over_seeds,
)
from paracosm.paper.study import Answer

LONGEST = HORIZONS[-1]
WORDS = {
    "drawn": "drawn at random",
    "reality": "trained in reality",
    "own": "trained in it",
    "other": "trained in another",
}
_RUNG_WORDS = {"lemma": "Lemma 1", "along": "along the path"}
_SHOWN = (2, 5, 10, 20, 100)  # horizons of tables
_BINS = 12  # of margins, from the least to the largest, as many pairs in each
_WORDED = 10  # the horizon at which the summary speaks of certificates


def setup(answers: Sequence[Answer]) -> tuple[str, ...]:
    """What was done, in sentences."""
    sizes = OrderSizes(**answers[0].arguments["sizes"])
    seeds = len({answer.arguments["seed"] for answer in answers})
    errors = ", ".join(f"{size:g}" for size in sizes.errors)
    total = sizes.checkpoints * sizes.steps
    return (
        "The paper is here Bhamidipaty, Whitammer, Abel, Kochenderfer and Ramamoorthy, Imperfect"
        " World Models are Exploitable (2026, arXiv 2605.15960). It proves statements about"
        " transitions and has no numbers to be compared with.",
        "Systems: Gymnasium's pendulum in JAX; random tanh systems s' = U tanh(Ws + Va) with reward"
        " tanh(w·s + v·a), every factor of norm 1; random linear-quadratic ones, norms of A and B"
        f" 0.95 and 0.5. Undiscounted returns of {LONGEST} steps, deterministic, in 64 bits, means"
        f" over {STARTS} starts that all policies and worlds share: exact on these starts.",
        f"A world is the real system with its dynamics off by ε U tanh(Ws + Va + b) / √n in scaled"
        " states, a random smooth map of norm below ε; the reward is the real one."
        f" ε is {errors}, or 0; for each of {seeds} seeds, with a system of its own,"
        f" {DIRECTIONS} directions of the error.",
        f"Policies, {sizes.policies} of each kind: drawn at random; trained in reality; trained in"
        " the world that orders them; trained in the other world of the same ε. Trained ones are"
        f" {sizes.checkpoints} checkpoints of {sizes.trained} trainings, {total} steps of Adam on"
        " gradients of the return of 50 steps straight through the system; each training begins"
        " with the same weights and sees the same starts in every world.",
        "A pair is inverted if the signs of Ĵ(π') − Ĵ(π) and J(π') − J(π) are opposite. The safe"
        f" horizon is the largest of {', '.join(map(str, HORIZONS))} up to which no pair of the"
        " first three kinds together is. Regret is the best real return minus that of the policy"
        " with the highest imagined one, as a share of what training in reality gains over the mean"
        " policy drawn.",
        "A sign is certified where |ΔĴ| exceeds the sum of both policies' bounds: Lemma 1 over a"
        " finite horizon, from ε and the real system's constants alone, or the errors at the"
        " imagined states with the real closed loop's constants around them. Constants are in"
        " closed form; the pendulum has none.",
    )


def choices(systems: Sequence[Orders]) -> tuple[Choice, ...]:
    """What the paper leaves open, and how the conclusion moves when it is varied."""
    margins = "; ".join(f"{s.name} {interval(s.by_a_margin('own'))}" for s in systems)
    reality = "; ".join(f"{s.name} {interval(s.more('own', 'reality'))}" for s in systems)
    drawn = "; ".join(f"{s.name} {interval(s.more('own', 'drawn'))}" for s in systems)
    return (
        Choice(
            "how small a difference counts",
            "every strict inversion counts, as in the paper's definition",
            f"only pairs that differ in reality by {MARGIN:.0%} of what training gains, of policies"
            f" trained in the world: {margins}",
        ),
        Choice(
            "what policies trained in the world are compared with",
            "the same policies in another world of the same ε: pairs are equally close",
            f"share inverted minus that of policies trained in reality: {reality}; minus that of"
            f" policies drawn at random, which lie farther apart: {drawn}",
        ),
        Choice(
            "what a world's error looks like",
            "smooth, of known size, over the scale of the states, in dynamics alone",
            "not varied: a learned world's error depends on where its data lie",
        ),
        Choice("the discount", "none: the horizon alone limits", "not varied"),
    )


def interval(value: Estimate) -> str:
    """The mean and its interval, to three digits."""
    return f"{value.mean:.3g} [{value.low:.3g}, {value.high:.3g}]"


def by_bounds(system: Orders) -> str:
    """How well the sum of two bounds serves as a unit, for the end of a sentence; empty where there
    are none.
    """
    if not system.bounds:
        return ""
    return f", |ΔĴ| over the sum of both bounds {system.tells('along').mean:.2f}"


def certified_in_words(systems: Sequence[Orders]) -> str:
    """The shares of pairs that are certified, at the smallest and largest error."""
    place = HORIZONS.index(_WORDED)
    parts = []
    for system in systems:
        if not system.bounds:
            continue
        shares = system.certified("along")[..., place].mean(axis=(0, 1, 3))
        parts.append(
            f"{shares[0]:.0%} of the pairs over {_WORDED} steps at ε = {system.errors[1]:g} and"
            f" {shares[-1]:.0%} at {system.errors[-1]:g} ({system.name})"
        )
    return ", ".join(parts)


def tables(systems: Sequence[Orders]) -> tuple[Table, ...]:
    """Shares by horizon, whole episodes by kind of policy, and certificates."""
    return _by_horizon(systems), _by_kind(systems), _trained(systems), _certificates(systems)


def _rows(systems: Sequence[Orders]) -> list[tuple[Orders, int, str]]:
    """Each system and error, with the name of its row."""
    return [
        (system, k, f"{system.name}, ε = {size:g}")
        for system in systems
        for k, size in enumerate(system.errors[1:])
    ]


def _by_horizon(systems: Sequence[Orders]) -> Table:
    rows = []
    for system, k, name in _rows(systems):
        shares = system.shares("drawn")[:, k].mean(axis=0)
        cells = [f"{shares[HORIZONS.index(h)]:.3f}" for h in _SHOWN]
        rms = system.rms[:, :, 1 + k].mean()
        rows.append((name, f"{rms:.2g}", *cells, f"{system.safe(k):g}"))
    return Table(
        "Inverted pairs of policies drawn at random",
        ("system, error", "rms error", *(f"{h} steps" for h in _SHOWN), "safe horizon"),
        tuple(rows),
        "Shares of pairs, means over seeds and directions. The error's root mean square is over the"
        " real steps of these policies. The safe horizon is the median over worlds, of all policies"
        " but those trained in another world.",
    )


def _by_kind(systems: Sequence[Orders]) -> Table:
    rows = []
    for system, k, name in _rows(systems):
        shares = [interval(system.share(kind, k)) for kind in SETS]
        taus = [f"{system.tau(kind, k).mean:.2f}" for kind in ("drawn", "own")]
        rows.append((name, *shares, *taus))
    return Table(
        f"Inverted pairs over {LONGEST} steps, by how policies came about",
        ("system, error", *(WORDS[kind] for kind in SETS), "τ, drawn", "τ, trained in it"),
        tuple(rows),
        "Shares of pairs within each kind, with Student's t intervals over seeds.",
    )


def _trained(systems: Sequence[Orders]) -> Table:
    rows = []
    for system, k, name in _rows(systems):
        gain = system.gain[:, None, None, -1]
        real, imagined = (over_seeds(part[:, :, k] / gain) for part in system.rivals())
        lost = [f"{system.regret(sets, k).mean:.2g}" for sets in (IN_ALL, UNTRAINED)]
        share = f"{system.exploited(k).mean:.2f}"
        rows.append((name, share, interval(imagined), interval(real), *lost))
    return Table(
        "Trained in the world against trained in reality",
        (
            "system, error",
            "exploited",
            "imagined difference",
            "real difference",
            "regret",
            "regret, none trained in it",
        ),
        tuple(rows),
        "Of policies from the same start at the end of both trainings; differences and regret as"
        " shares of what training in reality gains. Exploited: the share of these pairs of"
        " which the world has its own above and reality the other.",
    )


def _certificates(systems: Sequence[Orders]) -> Table:
    rows = []
    for system, k, name in _rows([s for s in systems if s.bounds]):
        cells = []
        for rung in RUNGS:
            shares = system.certified(rung)[:, :, k].mean(axis=(0, 1, 2))
            cells += [f"{shares[HORIZONS.index(h)]:.3f}" for h in _SHOWN]
        rows.append((name, *cells))
    return Table(
        "Certified pairs",
        ("system, error", *(f"{_RUNG_WORDS[rung]}, {h}" for rung in RUNGS for h in _SHOWN)),
        tuple(rows),
        "Shares of the pairs of all policies but those trained in another world, by horizon.",
    )


def _line(
    name: str, x: Sequence[float], estimates: Sequence[Estimate], mark: str = "line"
) -> Series:
    """Estimates over x, with their intervals.

    Args:
        name: Of the series.
        x: Where.
        estimates: What is drawn.
        mark: How.
    """
    y, low, high = (
        tuple(getattr(value, end) for value in estimates) for end in ("mean", "low", "high")
    )
    return Series(name, tuple(x), y, "dashed" if mark == "dashed" else "line", low, high)


def charts(systems: Sequence[Orders]) -> tuple[Chart, ...]:
    """Shares against the horizon and the error, by margin, and certified ones."""
    return (
        *(_against_horizon(system) for system in systems),
        *(_against_error(system) for system in systems),
        _against_margin(systems),
        _certified(systems),
    )


def _against_horizon(system: Orders) -> Chart:
    lines = [
        Series(f"ε = {size:g}", tuple(map(float, HORIZONS)), tuple(shares))
        for size, shares in zip(
            system.errors[1:], system.shares("drawn").mean(axis=0).tolist(), strict=True
        )
    ]
    return Chart(
        f"horizon-{system.name}",
        f"Inverted pairs against the horizon: {system.name}",
        "horizon, steps",
        "share of pairs",
        tuple(lines),
        "Policies drawn at random, means over seeds.",
        True,
    )


def _against_error(system: Orders) -> Chart:
    count = len(system.errors) - 1
    lines = [
        _line(
            WORDS[kind],
            system.errors[1:],
            [system.share(kind, k) for k in range(count)],
            "dashed" if kind == "other" else "line",
        )
        for kind in SETS
    ]
    return Chart(
        f"error-{system.name}",
        f"Inverted pairs over {LONGEST} steps: {system.name}",
        "largest one-step error ε, scaled states",
        "share of pairs",
        tuple(lines),
        "By how the policies came about, 95% intervals over seeds. Those trained in it and in"
        " another are the same policies, ordered by two worlds of the same ε.",
        True,
    )


def _against_margin(systems: Sequence[Orders]) -> Chart:
    lines = []
    for system in systems:
        score, flags = (part.ravel() for part in system.margins("horizon"))
        parts = np.array_split(np.argsort(score), _BINS)[1:]  # the first begins at 0
        x = tuple(float(np.median(score[part])) for part in parts)
        lines.append(Series(system.name, x, tuple(float(flags[part].mean()) for part in parts)))
    return Chart(
        "margin",
        "Inverted pairs by the imagined difference",
        "|ΔĴ| / (error · horizon)",
        "share of pairs",
        tuple(lines),
        "All errors, horizons from 2 and kinds of policies but those trained in another world, in"
        f" {_BINS} groups of as many pairs, without the lowest. Units differ by system.",
        True,
    )


def _certified(systems: Sequence[Orders]) -> Chart:
    lines = []
    for system in systems:
        for rung in system.bounds:
            shares = over_seeds_of(system.certified(rung)[:, :, 0])
            mark = "dashed" if rung == "lemma" else "line"
            lines.append(_line(f"{system.name}, {_RUNG_WORDS[rung]}", HORIZONS, shares, mark))
    return Chart(
        "certified",
        f"Pairs whose order is certified at ε = {systems[0].errors[1]:g}",
        "horizon, steps",
        "share of pairs",
        tuple(lines),
        "The imagined difference exceeds the sum of both policies' bounds.",
        True,
    )


def over_seeds_of(flags: np.ndarray) -> list[Estimate]:
    """Shares `[seed, direction, pair, horizon]` by horizon."""
    return [over_seeds(flags[..., place]) for place in range(flags.shape[-1])]
