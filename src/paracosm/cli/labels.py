"""`paracosm labels`: which labels to buy, and whether cheap ones are worth their bias."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from paracosm.cli import output
from paracosm.cli.parsing import flag
from paracosm.core.checks import BadArgument
from paracosm.core.records.decisions import GradientNoise, LabelPlan, MixturePlan
from paracosm.loop.plans import plan_labels, plan_mixture
from paracosm.planning import fidelity

_MIXTURE = ("cheap_cost", "gold_cost", "cheap_variance", "gold_variance", "correlation", "bias")
_NOISE = ("gradient_variance", "noise_coefficient")
_ONE_PRICE = ("fidelity", *_NOISE, "least_cost", "most_cost")


@dataclasses.dataclass(frozen=True)
class LabelsFlags:
    """Say which reward labels to buy for a policy gradient: cheap noisy ones or dear clean ones,
    and how many.

    How dear, if labels are the cleaner the more they cost: paracosm labels --budget 5000
    --cost-rollout 1 --gradient-variance 40 --noise-coefficient 6 --fidelity power:2.0,0.7

    The same with both numbers of the gradient measured on the policy of a finished run with
    --learner reinforce: paracosm labels runs/pendulum --budget 5000 --fidelity measured.csv

    Cheap biased labels, gold ones, or cheap ones that a few gold ones put right: paracosm labels
    --budget 5000 --cost-rollout 1 --cheap-cost 1 --gold-cost 20 --cheap-variance 50 --gold-variance
    40 --correlation 0.8 --bias 0.3

    Prices are per rollout: a label is whatever labels all rewards of one rollout once.

    Attributes:
        run: The run directory whose policy's gradient is measured: of a run with --learner
            reinforce, whose gradient this is. Runs of other learners are refused.
        budget: Needed: what may be spent, in the unit of the prices.
        cost_rollout: The price of one rollout before it is labelled.
        fidelity: How the variance of a label's noise falls with its price c. power:A,p is A/c^p;
            bounded:V,most is V(1 - c/most); floor:V,A is V + A/c; A and V are variances. Or a CSV
            file with the columns cost,variance: then only its own labels are for sale.
        gradient_variance: Variance of one rollout's gradient without label noise; 0 if not given.
        noise_coefficient: By how much label noise of variance 1 adds to it; 1 if not given.
        least_cost: The cheapest label that can be bought. With it, several labels on one rollout
            are considered.
        most_cost: The dearest label that can be bought.
        cheap_cost: The price of cheap labels.
        gold_cost: The price of gold labels.
        cheap_variance: Variance of one rollout's gradient under cheap labels.
        gold_variance: Variance of one rollout's gradient under gold labels.
        correlation: Correlation of the two gradients of one rollout.
        bias: Length of the gradient's bias under cheap labels.
        weighting: Of a run: the time weighting of the gradient, plain or discounted; its training's
            if not given.
        trust: Import the code that the run names (its known parts), if the run is your own.
        out: Write the plan as a page here.
        json: Print one JSON document on stdout instead of the summary.
    """

    run: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[RUN]")] = None
    budget: Annotated[float | None, tyro.conf.arg(metavar="MONEY")] = None
    cost_rollout: Annotated[float, tyro.conf.arg(metavar="MONEY")] = 0.0
    fidelity: Annotated[str | None, tyro.conf.arg(metavar="LAW|CSV")] = None
    gradient_variance: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    noise_coefficient: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    least_cost: Annotated[float | None, tyro.conf.arg(metavar="MONEY")] = None
    most_cost: Annotated[float | None, tyro.conf.arg(metavar="MONEY")] = None
    cheap_cost: Annotated[float | None, tyro.conf.arg(metavar="MONEY")] = None
    gold_cost: Annotated[float | None, tyro.conf.arg(metavar="MONEY")] = None
    cheap_variance: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    gold_variance: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    correlation: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    bias: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    weighting: Annotated[
        Literal["plain", "discounted"] | None, tyro.conf.arg(metavar="{plain,discounted}")
    ] = None
    trust: bool = False
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(LabelsFlags, arguments, "labels")
    plan = _plan_mixture(flags) if _given(flags, _MIXTURE) else _plan_labels(flags)
    output.deliver(plan, plan.to_dict(), flags.out, as_json=flags.json)


def _given(flags: LabelsFlags, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(flags, name) is not None]


def _require(flags: LabelsFlags, names: Sequence[str], why: str) -> None:
    lacking = [name for name in names if getattr(flags, name) is None]
    if lacking:
        raise BadArgument(f"{flag(lacking[0])} is not given; {why}.")


def _refuse_of_run(flags: LabelsFlags) -> None:
    if flags.run is None and (flags.trust or flags.weighting is not None):
        raise BadArgument("--trust and --weighting are of a run directory; none is given.")


def _plan_mixture(flags: LabelsFlags) -> MixturePlan:
    """Cheap labels, gold ones or both."""
    foreign = ["a run directory"] * (flags.run is not None) + [
        flag(name) for name in _given(flags, _ONE_PRICE)
    ]
    if foreign:
        raise BadArgument(
            f"both {flag(_given(flags, _MIXTURE)[0])} and {foreign[0]} are given; either cheap"
            " labels are compared "
            "with gold ones, or one price is sought with --fidelity."
        )
    _refuse_of_run(flags)
    _require(
        flags,
        ("budget", *_MIXTURE),
        f"cheap and gold labels are compared by {', '.join(map(flag, _MIXTURE))}",
    )
    numbers = {name: getattr(flags, name) for name in ("budget", "cost_rollout", *_MIXTURE)}
    return plan_mixture(**numbers)


def _plan_labels(flags: LabelsFlags) -> LabelPlan:
    """One price of labels, the gradient's numbers given or measured."""
    _refuse_of_run(flags)
    if flags.run is not None and _given(flags, _NOISE):
        raise BadArgument(
            f"both a run directory and {flag(_given(flags, _NOISE)[0])} are given; it is measured"
            " from the run."
        )
    _require(flags, ("budget",), "a plan needs what may be spent")
    _require(
        flags,
        ("fidelity",),
        f"a plan needs {fidelity.FORMS}, or else cheap and gold labels (--help)",
    )
    law = fidelity.parse(str(flags.fidelity))
    assert flags.budget is not None
    return plan_labels(
        law,
        budget=flags.budget,
        cost_rollout=flags.cost_rollout,
        least_cost=flags.least_cost,
        most_cost=flags.most_cost,
        **{name: getattr(flags, name) for name in _given(flags, _NOISE)},
        noise=None if flags.run is None else _measure_gradient(flags.run, flags),
    )


def _measure_gradient(run: Path, flags: LabelsFlags) -> GradientNoise:
    from paracosm.loop.measuring import gradient_noise_of_run

    with output.progress() as tell:
        return gradient_noise_of_run(
            run, weighting=flags.weighting, trust=flags.trust, progress=tell
        )
