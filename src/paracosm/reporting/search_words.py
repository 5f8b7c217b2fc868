"""Was it the model, or the search? In plain words."""

from __future__ import annotations

from paracosm.core.records.search import SearchShare, SearchTrial
from paracosm.reporting.words import estimate_reading, reading

NAMES = {
    "mppi": "planning by MPPI",
    "cem": "planning by CEM",
    "gradient": "planning by gradients",
    "longer": "training that went on",
    "again": "training from another seed",
}


def search_name(trial: SearchTrial) -> str:
    """A search by what it did."""
    return NAMES.get(trial.search, trial.search)


def sentence(share: SearchShare) -> str:
    """What the best of the other searches says of the policy's own."""
    if share.best is None:
        tried = " and ".join(
            f"{search_name(trial)} {reading(trial.imagined.mean, 4)} (a difference of"
            f" {reading(trial.better_by.mean, sign='+')})"
            for trial in share.trials
        )
        return (
            f"No other search is clearly better in the world that the policy was trained in, where"
            f" the policy reaches {reading(share.imagined.mean, 4)} and {tried}: nothing says that"
            " its search is to blame."
        )
    best = next(trial for trial in share.trials if trial.search == share.best)
    reached = (
        f"The policy reaches {reading(share.imagined.mean, 4)} in the world that it was trained in,"
        f" and {search_name(best)} {reading(best.imagined.mean, 4)} from the same {share.starts}"
        f" starts, a difference of {estimate_reading(best.better_by)}"
    )
    left = f"the policy's own search left at least {reading(share.least)} there"
    if best.alike:
        left = f"{left}, if no start is worth more or less than those seen"
    if not share.leads:
        return f"{reached}: {left}."
    return (
        f"In imagination the search left more than the whole gap can be: {_lower_first(reached)},"
        f" so that {left}. Whether the world is right where such a search goes, the episodes of"
        " this policy do not tell."
    )


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]
