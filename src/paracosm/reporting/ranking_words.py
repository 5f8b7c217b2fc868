"""A ranking in words: who is better, how sure that is, and what imagination makes of it."""

from __future__ import annotations

import string

from paracosm.core.records import Estimate
from paracosm.core.records.ranking import BoughtEpisodes, Ordering, PolicyPair, Ranking
from paracosm.reporting import words
from paracosm.reporting.decision_tables import Texts

_ORDERINGS = {Ordering.AGREES: "agrees", Ordering.FLIPS: "flips"}


def letters(ranking: Ranking) -> dict[str, str]:
    """A letter for each policy by name, A for the best: pairs of long names fill no table."""
    alphabet = string.ascii_uppercase
    return {
        policy.name: f"{alphabet[n % len(alphabet)]}{n // len(alphabet) or ''}"
        for n, policy in enumerate(ranking.policies)
    }


def policy_rows(ranking: Ranking) -> list[Texts]:
    """Letter, policy, real return, imagined return, real episodes."""
    return [
        (
            letter,
            policy.name,
            words.estimate(policy.real),
            words.estimate(policy.imagined),
            words.count(policy.real.n),
        )
        for letter, policy in zip(letters(ranking).values(), ranking.policies, strict=True)
    ]


def pair_rows(ranking: Ranking) -> list[Texts]:
    """Pair, differences of the real and of the imagined returns, and what is sure of it."""
    by_name = letters(ranking)
    return [
        (
            f"{by_name[pair.first]} − {by_name[pair.second]}",
            words.estimate(pair.real),
            words.estimate(pair.imagined),
            _ordering(pair),
        )
        for pair in ranking.pairs
    ]


def _ordering(pair: PolicyPair) -> str:
    if pair.real.excludes_zero:
        return _ORDERINGS.get(pair.ordering, "imagination open")
    return "open"


def measure_rows(ranking: Ranking) -> list[Texts]:
    """What imagination's order is worth: name, value, interval."""
    return [
        ("share of flips", _share(ranking.flips.mean), _shares(ranking.flips)),
        ("Kendall’s τ", words.number(ranking.tau.mean, 2), words.interval(ranking.tau, 2)),
        ("selection regret", words.mean(ranking.regret), words.interval(ranking.regret)),
    ]


def episode_rows(bought: BoughtEpisodes) -> list[Texts]:
    """Policy and how many real episodes it played, and all together."""
    rows = [(name, words.count(count)) for name, count in bought.episodes.items()]
    return [*rows, ("all", words.count(bought.total))]


def _share(value: float) -> str:
    return f"{100 * value:.0f}%"


def _shares(estimate: Estimate) -> str:
    return f"[{_share(estimate.low)}, {_share(estimate.high)}]"


def verdict(ranking: Ranking) -> str:
    """Which policy is the best, how much of the order is sure, and which imagination takes."""
    first = ranking.policies[0].name
    sentence = f"{_order(ranking, first)} {_choice(ranking, first)}"
    return f"{sentence} {_flips(ranking)}"


def _order(ranking: Ranking, first: str) -> str:
    bought, pairs = ranking.bought, ranking.pairs
    sure = sum(pair.real.excludes_zero for pair in pairs)
    if bought is not None and bought.sure and bought.best:
        confidence = words.probability(bought.confidence)
        return f"{first} is the best with {confidence} confidence{_within(bought)}."
    if bought is not None and bought.sure:
        return (
            f"{first} is the best, and the order of all is sure with"
            f" {words.probability(bought.confidence)} confidence{_within(bought)}."
        )
    if len(pairs) == 1 and not sure:
        return f"{first} has the higher real return; whether it is better is open."
    if bought is not None and bought.best:
        above = sum(pair.first == first and pair.real.excludes_zero for pair in pairs)
        return (
            f"{first} has the highest real return; it is surely above {above:,} of the"
            f" {len(ranking.policies) - 1:,} others."
        )
    if sure == len(pairs):
        return f"{first} has the highest real return, and the order of all is sure."
    verb = "is" if sure == 1 else "are"
    return (
        f"{first} has the highest real return; {sure:,} of {len(pairs):,} pairs {verb} sure, the"
        " rest is open."
    )


def _within(bought: BoughtEpisodes) -> str:
    return f", up to differences of {words.reading(bought.within)}" if bought.within else ""


def _choice(ranking: Ranking, first: str) -> str:
    if ranking.tied:
        others = ", ".join((ranking.chosen, *ranking.tied[:-1]))
        return (
            f"In imagination {others} and {ranking.tied[-1]} are equally good, and none is better;"
            f" taking any of them costs {words.estimate(ranking.regret)}."
        )
    if ranking.chosen == first:
        return "Imagination takes it for the best, too."
    return (
        f"Imagination takes {ranking.chosen} for the best, which costs"
        f" {words.estimate(ranking.regret)}."
    )


def _flips(ranking: Ranking) -> str:
    flips = [pair for pair in ranking.pairs if pair.ordering is Ordering.FLIPS]
    undecided = sum(pair.ordering is Ordering.UNDECIDED for pair in ranking.pairs)
    if not flips and undecided:
        pairs = len(ranking.pairs)
        which = "the one pair" if pairs == 1 else f"{undecided:,} of {pairs:,} pairs"
        return (
            "Over whole episodes no pair certainly flips; whether imagination orders"
            f" {which} as the real returns do is open."
        )
    if not flips:
        return "Imagination orders every pair as the real returns do."
    verb, count = "flips" if len(flips) == 1 else "flip", len(ranking.pairs)
    such = ", for one" if len(flips) > 1 else ""
    return f"{len(flips):,} of {count:,} pairs certainly {verb}: {_pair(flips[0])}{such}."


def _pair(pair: PolicyPair) -> str:
    return f"{pair.first} is better than {pair.second}, and imagination says the opposite"


def _is_open(ranking: Ranking) -> bool:
    """Whether imagination's order of every pair is open, and none flips at a shorter horizon."""
    undecided = all(pair.ordering is Ordering.UNDECIDED for pair in ranking.pairs)
    return undecided and not any(at.flips for at in ranking.horizons)


def safe_horizon(ranking: Ranking) -> str:
    """Up to which horizon no pair flips, and which does then."""
    longest = ranking.horizons[-1].steps
    if ranking.safe_horizon is None or _is_open(ranking):
        return "Safe horizon: not known, since imagination's order of every pair is open."
    if ranking.safe_horizon == longest:
        return f"Safe horizon: at no horizon up to all {longest:,} steps a pair certainly flips."
    after = next(at for at in ranking.horizons if at.steps > ranking.safe_horizon)
    return (
        f"Safe horizon: {ranking.safe_horizon:,} of {words.count_of(longest, 'step')}; in"
        f" {words.count_of(after.steps, 'step')} {' and '.join(after.example)} flip."
    )


def of_checkpoints(ranking: Ranking) -> str:
    """What the order of a run's checkpoints says of its worlds."""
    if ranking.safe_horizon is None or _is_open(ranking):
        unsure = any(not pair.real.excludes_zero for pair in ranking.pairs)
        more = "; more real episodes (paracosm rank) may settle it" if unsure else ""
        return (
            "Safe horizon: not known, since imagination's order of every pair of the"
            f" {len(ranking.policies):,} policies of this run is open{more}."
        )
    policies, total = len(ranking.policies), sum(policy.real.n for policy in ranking.policies)
    return (
        f"{safe_horizon(ranking)} By {total:,} real episodes of {policies:,} policies of this run,"
        f" each imagined in the world of its round: {_flips(ranking)} {discount(ranking)}".rstrip()
    )


def discount(ranking: Ranking) -> str:
    """By how much a step its returns are discounted; empty where they are not."""
    if ranking.discount == 1:
        return ""
    return f"Returns are discounted by {ranking.discount:g} a step."


def purchase(ranking: Ranking) -> str:
    """What was played, and what a design of equal numbers would have; empty where nothing was
    bought.
    """
    bought = ranking.bought
    if bought is None:
        return ""
    most = "" if bought.sure else f", all that were allowed ({bought.most:,})"
    played = (
        f"{bought.total:,} real episodes were played{most}, {bought.least:,} of each policy"
        f" first: {ranking.real_steps:,} real steps."
    )
    return f"{played} {_equal(bought)}"


def _equal(bought: BoughtEpisodes) -> str:
    if bought.equal is None:
        return "How many a design of equal numbers would need cannot be told from these."
    total = bought.equal * len(bought.episodes)
    return (
        f"A design of equal numbers would need about {bought.equal:,} of each, {total:,} in all, by"
        " the differences measured."
    )


def left_out(ranking: Ranking) -> str:
    """Which policies are the same as others; empty if none is."""
    if not ranking.left_out:
        return ""
    return f"Left out, the same policy as an earlier one: {', '.join(ranking.left_out)}."


def notes(ranking: Ranking) -> list[str]:
    """What to know beside the tables."""
    sentences = (safe_horizon(ranking), purchase(ranking), left_out(ranking), discount(ranking))
    return [sentence for sentence in sentences if sentence]


def horizon_rows(ranking: Ranking) -> list[Texts]:
    """Steps, how many pairs certainly flip in so many, and one of them."""
    return [
        (f"{at.steps:,}", words.count(at.flips), " and ".join(at.example) or "–")
        for at in ranking.horizons
    ]
