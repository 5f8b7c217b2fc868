"""From which region of states to buy: the shares of least predicted error.

With `E_k` the error that region k makes in the return and `n_k` the transitions owned there, the
error falls with transitions as `E_k ((n_k + b_k)/n_k)^{−α} = w_k (n_k + b_k)^{−α}`, `w_k = E_k
n_k^α`, α of the learning curve of the dynamics. The shares minimise

    Σ_k w_k (n_k + b_k)^{−α}   subject to   Σ_k b_k = B,  b_k ≥ 0.

It is convex. Where anything is bought the marginal `α w_k (n_k + b_k)^{−α−1}` is one number μ, and
where nothing is it is at most μ at `b_k = 0`. So `n_k + b_k = max(n_k, c p_k)` with `p_k =
w_k^{1/(1+α)}` and c such that the budget is spent: the regions that are bought from are those of
the largest `E_k/n_k`. A floor, the share φ of every region's error that no data removes, leaves
`φ E_k` beside that and changes no share.
"""

from __future__ import annotations

import numpy as np

from paracosm.core import checks
from paracosm.core.records.decisions import Plan
from paracosm.core.records.regions import Placement, StateRegions

EXPONENT = 0.5  # of a root mean square error that averages independent noise


def transitions_by_region(
    errors: np.ndarray, owned: np.ndarray, transitions: float, exponent: float = EXPONENT
) -> np.ndarray:
    """How many transitions to buy from each region, `[region]`; they sum to `transitions`.

    Args:
        errors: `E_k`, at least 0 and one of them positive, `[region]`.
        owned: `n_k`, positive, `[region]`.
        transitions: B, positive.
        exponent: α, positive.

    Raises:
        BadArgument: numbers outside these ranges.
    """
    errors, owned = np.asarray(errors, np.float64), np.asarray(owned, np.float64)
    checks.positive("the transitions to buy", transitions)
    checks.positive("the exponent", exponent)
    checks.finite("the regions' errors", errors, "region")
    if not (errors >= 0).all() or not (errors > 0).any():
        raise checks.BadArgument(
            f"the regions' errors are {errors.tolist()}; none may be negative, and one must be"
            " positive."
        )
    if not (owned > 0).all():
        raise checks.BadArgument(
            f"the regions hold {owned.tolist()} transitions; every number must be positive."
        )
    wanted = (errors * owned**exponent) ** (1 / (1 + exponent))
    order = np.argsort(-errors / owned, kind="stable")
    # The factor c if the first regions of the order are bought from, by how many they are.
    with np.errstate(divide="ignore"):
        factors = (transitions + np.cumsum(owned[order])) / np.cumsum(wanted[order])
    reached = factors * wanted[order] > owned[order]
    return np.maximum(factors[np.flatnonzero(reached)[-1]] * wanted - owned, 0.0)


def placement_of_plan(regions: StateRegions | None, plan: Plan) -> Placement | None:
    """From which regions to buy the transitions of a plan; `None` where it buys no transition,
    where no regions are known or where no region errs.
    """
    if regions is None or plan.dynamics < 1:
        return None
    law, owned = plan.curves["dynamics"], plan.owned["dynamics"]
    falling = law.prefactor * float(owned) ** -law.exponent if owned else np.inf
    return placement(regions, plan.dynamics, law.exponent, law.floor / (law.floor + falling))


def placement(
    regions: StateRegions, transitions: int, exponent: float = EXPONENT, floor: float = 0.0
) -> Placement | None:
    """From which regions to buy so many transitions; `None` where no region errs.

    A region counts as if one transition more lay in it, since the error of an empty region is
    finite, too.

    Args:
        regions: The errors of the regions, and the transitions owned there.
        transitions: How many to buy.
        exponent: α.
        floor: φ.

    Raises:
        BadArgument: the number or the exponent is not positive.
    """
    rows = regions.regions
    errors = np.array([row.error.mean for row in rows])
    if not errors.any():
        return None
    owned = np.array([row.owned + 1.0 for row in rows])
    visits = np.array([row.steps for row in rows], float)
    by_region = transitions_by_region(errors, owned, transitions, exponent)
    purchases = {
        "now": np.zeros(len(rows)),
        "regions": by_region,
        "visits": transitions * visits / visits.sum(),
    }
    predicted = {
        name: float(errors @ (floor + (1 - floor) * ((owned + counts) / owned) ** -exponent))
        for name, counts in purchases.items()
    }
    shares = by_region / by_region.sum()
    return Placement(regions, transitions, exponent, tuple(shares.tolist()), predicted)
