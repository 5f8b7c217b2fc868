"""E8, Lipschitz control: are lower constants worth having?

The paper asks for representations with lower Lipschitz constants, since these tighten Lemma 1's
bound (Corollary 1), and leaves open whether the return follows. Here dynamics and reward are
trained with a certified constant of at most ℓ, from half of the real part's own constant to none:
what that costs in held-out error, what Lemma 1 then says, and what a policy trained in each world
is worth in the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Claim, Findings
from paracosm.paper import e8_shows
from paracosm.paper.e8_cells import FREE, cells
from paracosm.paper.e8_sweeps import EQUAL, Sweep, sweeps
from paracosm.paper.study import Answer, Study, beyond, bounded, must_hold

_ROUNDING = 1e-6  # relative: what 32 bits of weights can add to a constant


def _held(all_sweeps: Sequence[Sweep]) -> Claim:
    ratios = [ratio for sweep in all_sweeps for ratio in sweep.held()]
    largest = max(ratios)
    return must_hold(
        "held",
        "Largest certified constant over the ℓ that it was held at.",
        Estimate(largest, largest, largest, len(ratios), "largest of all"),
        holds=largest <= 1 + _ROUNDING,
        why="the parametrisation holds a bound that is among those of which the audit takes the"
        f" least; checked on {len(ratios)} parts.",
    )


def _violations(all_sweeps: Sequence[Sweep]) -> Claim:
    gaps = [within for sweep in all_sweeps for within in sweep.within()]
    proven = [proven for sweep in all_sweeps for proven in sweep.proven()]
    estimated = (
        f" In {proven.count(False)} of {len(proven)} worlds a constant is an estimate, which proves"
        " nothing."
    )
    share = estimators.share(gaps.count(False), len(gaps))
    return must_hold(
        "violations",
        "Share of worlds and policies whose gap exceeds Lemma 1.",
        share,
        paper=0,
        holds=share.mean == 0 and all(proven),
        why="Lemma 1 is proved; what was checked is that constants that are certified, and errors"
        f" that are measured on the same episodes, keep it: {gaps.count(False)} of {len(gaps)}"
        f" exceed it.{'' if all(proven) else estimated}",
        says="none",
    )


def _at_equal_error(sweep: Sweep) -> tuple[Claim, ...]:
    """What the smallest ℓ at equal error does to the bound and to the return; nothing where errors
    are equal at no ℓ, which the summary says.
    """
    equal = sweep.equal()
    if equal == FREE:
        return ()
    where = f"{e8_shows.times(equal)}, the smallest ℓ at equal error"
    gain = sweep.paired(sweep.real, equal)
    return (
        bounded(
            f"tightened_{sweep.name}",
            f"log10 of Lemma 1's bound at {where}, over that without a limit: {sweep.name}, a"
            " policy that does nothing.",
            sweep.paired(sweep.idle, equal),
            0.0,
            side="below",
            why=f"errors are {sweep.errors_in_words(equal)} of those without a limit",
            says="lower constants tighten the bound",
        ),
        beyond(
            f"return_at_equal_error_{sweep.name}",
            f"Real return at {where}, minus that without a limit: {sweep.name}.",
            gain,
            why=f"the paper leaves open whether the return follows; that ℓ {_change(gain)}.",
        ),
    )


def _change(gain: Estimate) -> str:
    if gain.low > 0:
        return "comes with a higher return"
    return "comes with a lower return" if gain.high < 0 else "changes the return by nothing sure"


def _followed(sweep: Sweep, name: str, of: str, measure: Callable) -> Claim:
    """How the real return goes with a measure over ℓ.

    Args:
        sweep: Of one system.
        name: What machines know the claim by.
        of: The measure, in words.
        measure: Of an answer.
    """
    ours = sweep.rank(measure)
    return beyond(
        f"{name}_{sweep.name}",
        f"Rank correlation over ℓ of {of} and the real return: {sweep.name}.",
        ours,
        why=f"the paper leaves it open; the return {e8_shows.follows(ours)} (−1: the lower the"
        " better, as the bound would have it).",
    )


def _chosen(sweep: Sweep) -> Claim:
    cost = sweep.cost_of_choosing()
    return beyond(
        f"choosing_{sweep.name}",
        "Real return without a limit minus that at the ℓ with the lowest bound of the trained"
        f" policy: {sweep.name}.",
        cost,
        why=f"the paper chooses nothing by its bound; who does {_loss(cost)}.",
    )


def _loss(cost: Estimate) -> str:
    if cost.low > 0:
        return "loses return"
    return "gains return" if cost.high < 0 else "neither surely gains nor loses"


def _claims(all_sweeps: Sequence[Sweep]) -> tuple[Claim, ...]:
    claims = [_held(all_sweeps), _violations(all_sweeps)]
    for sweep in all_sweeps:
        claims += [
            *_at_equal_error(sweep),
            _followed(sweep, "follows", "Lemma 1's bound of the trained policy", sweep.lemma),
            _followed(sweep, "follows_idle", "that of the policy that does nothing", sweep.idle),
            _followed(sweep, "follows_error", "the dynamics' held-out error", sweep.error),
            _chosen(sweep),
        ]
    return tuple(claims)


def _summary(all_sweeps: Sequence[Sweep]) -> str:
    n = len(all_sweeps)
    ranks = [sweep.rank(sweep.lemma) for sweep in all_sweeps]
    errors = [sweep.rank(sweep.error) for sweep in all_sweeps]
    costs = [sweep.cost_of_choosing() for sweep in all_sweeps]
    follow, against = (sum(map(test, ranks)) for test in (_below, _above))
    lose, win = (sum(map(test, costs)) for test in (_above, _below))
    answer = {0: "no", n: "yes"}.get(follow, f"only in {follow} of {n} systems")
    return " ".join(
        (
            *_summary_at_equal_error(all_sweeps),
            f"Does the return follow the bound? {answer.capitalize()}: over all ℓ a lower bound of"
            f" the trained policy goes surely with a higher return in {follow} of {n} systems and"
            f" with a lower one in {against}; a lower held-out error of the dynamics goes surely"
            f" with a higher return in {sum(map(_below, errors))}.",
            f"Whoever takes the ℓ of the lowest bound surely loses return in {lose} of {n} and"
            f" surely gains in {win}.",
        )
    )


def _summary_at_equal_error(all_sweeps: Sequence[Sweep]) -> list[str]:
    """Whether the bound is tighter where errors are equal, and what the return does there."""
    limits = [(sweep, sweep.equal()) for sweep in all_sweeps]
    compared = [(sweep, equal) for sweep, equal in limits if equal != FREE]
    tighter = [pair for pair in compared if _below(pair[0].paired(pair[0].idle, pair[1]))]
    gains = [sweep.paired(sweep.real, equal) for sweep, equal in compared]
    lower, higher, n = (*(sum(map(test, gains)) for test in (_below, _above)), len(compared))
    sentences = [
        f"Some ℓ leaves both errors at most {EQUAL - 1:.0%} above those without a limit in {n} of"
        f" {len(limits)} systems; the smallest such surely tightens Lemma 1's bound of a policy"
        f" that does nothing, in which only the world counts, in {len(tighter)} of these"
        + (f": {_factors(tighter, 'idle')}." if tighter else "."),
        f"At that ℓ the real return is surely lower than without a limit in {lower} of {n} and"
        f" surely higher in {higher}.",
    ]
    if tighter:
        sentences.append(
            "Of the trained policies, whose own constants nothing holds, the bound goes there"
            f" {_factors(tighter, 'lemma')}: it stays far above the gap."
        )
    if tighter and not lower:
        sentences.append(
            "So hold the constant down as far as the held-out error does not rise: that certifies"
            " more of the world, and cost no return here."
        )
    return sentences + [_nearly(sweep) for sweep, equal in limits if equal == FREE]


def _factors(compared: Sequence[tuple[Sweep, float]], measure: str) -> str:
    """From what to what a bound goes at each system's ℓ, means over seeds.

    Args:
        compared: Systems, and the ℓ that each is compared at.
        measure: The name of a method of `Sweep`.
    """
    sentences = []
    for sweep, equal in compared:
        free, held = (sweep.mean(m, getattr(sweep, measure)).mean for m in (FREE, equal))
        sentences.append(
            f"from 10^{free:.4g} to 10^{held:.4g} at {e8_shows.times(equal)} ({sweep.name})"
        )
    return ", ".join(sentences)


def _nearly(sweep: Sweep) -> str:
    """What a system says whose errors are equal at no ℓ: with errors that are somewhat larger."""
    near = sweep.equal(e8_shows.LOOSE)
    if near == FREE:
        return f"In the {sweep.name} system no ℓ comes near."
    fall, gain = (sweep.paired(measure, near) for measure in (sweep.idle, sweep.real))
    return (
        f"In the {sweep.name} system {e8_shows.times(near)} has errors"
        f" {sweep.errors_in_words(near)} times as large, a bound lower by 10^{-fall.mean:.2g} and a"
        f" return that differs by {gain.mean:.2g} [{gain.low:.2g}, {gain.high:.2g}]."
    )


def _below(estimate: Estimate) -> bool:
    return estimate.high < 0


def _above(estimate: Estimate) -> bool:
    return estimate.low > 0


def read(answers: Sequence[Answer]) -> Findings:
    """Claims, tables and charts from the answers."""
    all_sweeps = sweeps(answers)
    return Findings(
        e8_shows.setup(answers),
        e8_shows.choices(all_sweeps),
        _claims(all_sweeps),
        e8_shows.tables(all_sweeps),
        e8_shows.charts(all_sweeps),
        _summary(all_sweeps),
    )


STUDY = Study(
    "Do lower certified constants tighten the bound at equal error, and does the return follow?",
    cells,
    read,
)
