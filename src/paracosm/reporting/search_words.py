"""Was it the model, or the search? In plain words."""

from __future__ import annotations

from paracosm.core.records.search import SearchShare, SearchTrial

NAMES = {
    "mppi": "planning by MPPI",
    "cem": "planning by CEM",
    "gradient": "planning by gradients",
    "longer": "training that went on",
    "again": "training from another seed",
}


def named(trial: SearchTrial) -> str:
    """A search by what it did."""
    return NAMES.get(trial.search, trial.search)


def sentence(share: SearchShare) -> str:
    """What the best of the other searches says of the policy's own."""
    if share.best is None:
        tried = " and ".join(
            f"{named(trial)} {trial.imagined.mean:.4g} (a difference of"
            f" {trial.better_by.mean:+.3g})"
            for trial in share.trials
        )
        return (
            f"No other search is clearly better in the world that the policy was trained in, where"
            f" the policy reaches {share.imagined.mean:.4g} and {tried}: nothing says that its"
            " search is to blame."
        )
    best = next(trial for trial in share.trials if trial.search == share.best)
    reached = (
        f"The policy reaches {share.imagined.mean:.4g} in the world that it was trained in, and"
        f" {named(best)} {best.imagined.mean:.4g} from the same {share.starts} starts, a difference"
        f" of {best.better_by:.3g}"
    )
    left = f"the policy's own search left at least {share.least:.3g} there"
    if best.alike:
        left = f"{left}, if no start is worth more or less than those seen"
    if not share.leads:
        return f"{reached}: {left}."
    return (
        f"In imagination the search left more than the whole gap can be: {_lowered(reached)}, so"
        f" that {left}. Whether the world is right where such a search goes, the episodes of this"
        " policy do not tell."
    )


def _lowered(text: str) -> str:
    return text[0].lower() + text[1:]
