"""E10, exploitability: how often does a world order two policies the other way round than reality?

A world is exploitable if it has one policy above another that is in truth strictly better
(Bhamidipaty, Whitammer, Abel, Kochenderfer and Ramamoorthy 2026, arXiv 2605.15960): it is shown
there that on large sets of policies hardly any wrong world is free of such pairs, and that a short
horizon avoids them in a relaxed sense. Here their share is counted where both returns are exact,
against the horizon and the size of the dynamics' error, for policies that were drawn at random,
trained in reality, in the world itself, and in another world.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Claim, Findings
from paracosm.paper import e10_shows
from paracosm.paper.e10_cells import HORIZONS, RUNGS, cells
from paracosm.paper.e10_numbers import IN_ALL, MARGIN, RARE, UNTRAINED, Orders, orders
from paracosm.paper.study import Answer, Study, beyond, must_hold


def _none_of(counts: Sequence[tuple[int, int]]) -> Estimate:
    """The share of counts `(how many, of how many)` added up."""
    inverted, pairs = (sum(column) for column in zip(*counts, strict=True))
    return estimators.share(inverted, pairs)


def _checks(systems: Sequence[Orders]) -> tuple[Claim, ...]:
    """What must hold by construction or proof."""
    exact, first = [], []
    for system in systems:
        for kind in IN_ALL:
            flags = system.inverted[kind]
            exact.append((int(flags[:, :, 0].sum()), flags[:, :, 0].size))
            first.append((int(flags[..., 0].sum()), flags[..., 0].size))
    bounded = [(system, rung) for system in systems for rung in RUNGS if rung in system.bounds]
    over = _none_of([system.beyond_bound(rung) for system, rung in bounded])
    wrong = _none_of([system.wrongly_certified(rung) for system, rung in bounded])
    without, at_first = _none_of(exact), _none_of(first)
    return (
        must_hold(
            "without_error",
            "Share of pairs that a world without an error inverts.",
            without,
            holds=without.mean == 0,
            why=f"by construction: its returns are the real ones; {without.n:,} pairs.",
            says="none",
        ),
        must_hold(
            "first_step",
            "Share of pairs that are inverted at horizon 1.",
            at_first,
            holds=at_first.mean == 0,
            why="by construction: the first reward is of the start and the action, in which the"
            f" worlds are exact; {at_first.n:,} pairs.",
        ),
        must_hold(
            "violations",
            "Share of gaps between real and imagined return that exceed their bound.",
            over,
            holds=over.mean == 0,
            why="both rungs are proved; what was checked is that constants in closed form keep"
            f" them: {over.n:,} policies × wrong worlds × horizons from {HORIZONS[1]} × rungs.",
            says="none",
        ),
        must_hold(
            "wrong_certificates",
            "Share of certified pairs that are inverted: the imagined difference exceeds the sum"
            " of both bounds, but the real one has another sign.",
            wrong,
            holds=wrong.mean == 0,
            why=f"it follows from the bounds; {wrong.n:,} pairs × wrong worlds × horizons from"
            f" {HORIZONS[1]} × rungs are certified.",
        ),
    )


def _exploitable(systems: Sequence[Orders]) -> Claim:
    """Whether wrong worlds have an inverted pair at all; an interval over seeds of all systems."""
    of_seeds = np.concatenate([s.exploitable().mean(axis=(1, 2)) for s in systems])
    policies = len(IN_ALL) * systems[0].real["own"].shape[-2]
    return beyond(
        "exploitable",
        f"Share of wrong worlds that invert some pair of {policies} policies over the whole"
        " horizon.",
        estimators.mean(of_seeds, bounds=(0, 1)),
        why="the paper proves it of sets that hold whole neighbourhoods of policies; these are"
        " finite.",
        says="essentially unavoidable on large sets of policies",
    )


def _of_system(system: Orders) -> tuple[Claim, ...]:
    """What was measured of one system."""
    name, own, drawn = system.name, system.more("own", "other"), system.farther("drawn")
    rivals, exponent = system.exploited(), system.exponent("drawn")
    tells, margin = system.tells("horizon"), system.least_margin()
    cost = system.regret(IN_ALL)
    return (
        beyond(
            f"horizon_{name}",
            "Share of pairs inverted over 100 steps minus that over 2, of policies drawn at random:"
            f" {name}.",
            drawn,
            why=f"the paper derives a horizon that is safe; ours {_grows(drawn)}.",
            says="avoided within a safe horizon",
        ),
        beyond(
            f"error_{name}",
            "The power of the error that the share of inverted pairs rises with, of policies drawn"
            f" at random: {name}.",
            exponent,
            why="the paper has no number; 1 is a share in proportion to the error. Errors that"
            " invert no pair are left out.",
        ),
        beyond(
            f"own_{name}",
            "Share of inverted pairs among policies trained in the world that orders them, minus"
            f" that of the same policies in another world of equal error: {name}.",
            own,
            why=f"the paper has no number; policies are {_more(own)} by the world that they were"
            " trained in.",
        ),
        beyond(
            f"rivals_{name}",
            "Share of pairs, a policy trained in the world and one trained in reality from the same"
            " weights, starts and steps, of which the world has its own above and reality the"
            f" other: {name}.",
            rivals,
            why="the paper has no number; it would be 1 if both trainings came to the best policy"
            " of where they are.",
        ),
        beyond(
            f"regret_{name}",
            "What is lost by taking the policy that the world has for the best, as a share of what"
            f" training in reality gains: {name}.",
            cost,
            why="the paper has no number; without the policies trained in the world it is"
            f" {e10_shows.interval(system.regret(UNTRAINED))}.",
        ),
        beyond(
            f"tells_{name}",
            "How well |ΔĴ| / (error · horizon) tells inverted pairs from others, from 0.5 (not at"
            f" all) to 1: {name}.",
            tells,
            why="the paper has no such number; |ΔĴ| alone reaches"
            f" {system.tells('difference').mean:.2f}, |ΔĴ| / error {system.tells('error').mean:.2f}"
            f"{e10_shows.by_bounds(system)}.",
        ),
        beyond(
            f"margin_{name}",
            f"The least |ΔĴ| / (error · horizon) above which {RARE:.0%} of the pairs are inverted:"
            f" {name}.",
            margin,
            why="the paper has no such number; it is in units of reward per unit of scaled state.",
        ),
    )


def _grows(difference: Estimate) -> str:
    if difference.low > 0:
        return "rises with the horizon"
    return "falls with the horizon" if difference.high < 0 else "surely does neither"


def _more(difference: Estimate) -> str:
    if difference.low > 0:
        return "inverted more often"
    return "inverted less often" if difference.high < 0 else "not surely inverted more often"


def _claims(systems: Sequence[Orders]) -> tuple[Claim, ...]:
    of_systems = [claim for system in systems for claim in _of_system(system)]
    return (*_checks(systems), _exploitable(systems), *of_systems)


def _summary(systems: Sequence[Orders]) -> str:
    """The questions, answered with the numbers of all systems."""
    return " ".join(
        (
            *_summary_of_growth(systems),
            *_summary_of_training(systems),
            *_summary_of_margins(systems),
        )
    )


def _listed(systems: Sequence[Orders], number: Callable[[Orders], str]) -> str:
    return ", ".join(f"{number(system)} ({system.name})" for system in systems)


def _surely(systems: Sequence[Orders], measure: Callable[[Orders], Estimate]) -> str:
    count = sum(measure(system).low > 0 for system in systems)
    return f"{count} of {len(systems)} systems"


def _summary_of_growth(systems: Sequence[Orders]) -> tuple[str, ...]:
    longer = _surely(systems, lambda s: s.farther("drawn"))
    power = _listed(systems, lambda s: f"{s.exponent('drawn').mean:.2f}")
    shares = _listed(systems, lambda s: _ends(s, lambda k: f"{s.share('drawn', k).mean:.2g}"))
    safe = _listed(systems, lambda s: _ends(s, lambda k: f"{s.safe(k):g}"))
    return (
        f"Of policies drawn at random, over {e10_shows.LONGEST} steps, the share of inverted pairs"
        f" goes, as the one-step error goes from {systems[0].errors[1]:g} to"
        f" {systems[0].errors[-1]:g}, from {shares}: with the error to the power {power}.",
        f"It is surely larger than over 2 steps in {longer}; the safe horizon of all policies, in"
        f" steps, goes from {safe}, where 1 is safe by construction.",
    )


def _ends(system: Orders, number: Callable[[int], str]) -> str:
    """A number at the least and at the largest error."""
    return f"{number(0)} to {number(len(system.errors) - 2)}"


def _summary_of_training(systems: Sequence[Orders]) -> tuple[str, ...]:
    than = [
        f"than {words}: surely in {_surely(systems, lambda s, k=kind: s.more('own', k))},"
        f" {_listed(systems, lambda s, k=kind: _both(s, 'own', k))}"
        for kind, words in (
            ("other", "the same policies by another world with as large an error"),
            ("drawn", "policies drawn at random"),
            ("reality", "policies trained in reality"),
        )
    ]
    exploited = _listed(systems, lambda s: _ends(s, lambda k: f"{s.exploited(k).mean:.0%}"))
    costs = (
        _listed(systems, lambda s, sets=sets: f"{s.regret(sets, len(s.errors) - 2).mean:.1%}")
        for sets in (IN_ALL, UNTRAINED)
    )
    return (
        "Are policies inverted more often by the world that they were trained in? Over all errors"
        f" more often {'; '.join(than)}.",
        "Of a policy trained in the world and one trained in reality from the same start the world"
        f" prefers its own, and is wrong, in {exploited} of the cases, from the least error to the"
        " largest.",
        f"Of the pairs of policies trained in the world {_listed(systems, _far)} are inverted"
        f" though they differ in reality by more than {MARGIN:.0%} of what training there gains.",
        "At the largest error taking the policy that the world has for the best costs"
        f" {next(costs)} of that gain, and {next(costs)} where only policies are to choose from"
        " that were not trained in it.",
    )


def _far(system: Orders) -> str:
    return f"{system.by_a_margin('own').mean:.1%}"


def _both(system: Orders, kind: str, than: str) -> str:
    first, second = (system.shares(k)[..., -1].mean() for k in (kind, than))
    return f"{first:.0%} against {second:.0%}"


def _summary_of_margins(systems: Sequence[Orders]) -> tuple[str, ...]:
    areas = _listed(
        systems, lambda s: f"{s.tells('horizon').mean:.2f} against {s.tells('difference').mean:.2f}"
    )
    wrong = sum(s.wrongly_certified(rung)[0] for s in systems for rung in s.bounds)
    return (
        "Does a margin tell? |ΔĴ| over error times horizon tells inverted pairs from others with"
        f" an area of {areas} for |ΔĴ| alone, where 0.5 says nothing and 1 all.",
        f"Certified signs: {wrong} are wrong; bounds along the imagined path certify"
        f" {e10_shows.certified_in_words(systems)}.",
    )


def read(answers: Sequence[Answer]) -> Findings:
    """Claims, tables and charts from the answers."""
    systems = orders(answers)
    return Findings(
        e10_shows.setup(answers),
        e10_shows.choices(systems),
        _claims(systems),
        e10_shows.tables(systems),
        e10_shows.charts(systems),
        _summary(systems),
    )


STUDY = Study(
    "How often does a wrong world invert the order of two policies, and whose?",
    cells,
    read,
)
