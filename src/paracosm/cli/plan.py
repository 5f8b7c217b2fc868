"""`paracosm plan`: what to buy next with a budget, from learning curves or from a finished run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import tyro

from paracosm.cli import output
from paracosm.cli.parsing import flag
from paracosm.core.checks import BadArgument, Missing, positive
from paracosm.core.files import shown
from paracosm.core.records import Weights
from paracosm.core.records.decisions import Bought, Curve, Measurements, Plan
from paracosm.loop.plans import plan
from paracosm.planning.budget import Offer
from paracosm.planning.evaluation import EpisodeOffer
from paracosm.planning.placement import placement_of_plan
from paracosm.planning.plan import PLANNED_PARTS, owned_counts, require_terms
from paracosm.planning.reading import read_curves

# Flags that a CSV file needs: what they say, a run knows by itself.
_NEEDED_WITH_TABLE = ("error", "weight_dynamics", "weight_reward", "cost_dynamics", "cost_reward")


@dataclasses.dataclass(frozen=True)
class PlanFlags:
    """What to buy next with a budget: transitions, reward labels, or both.

    From learning curves, a CSV file with columns part,samples,error[,seed] where part is dynamics
    or reward: paracosm plan curves.csv --error rms --budget 20000 --cost-dynamics 1 --cost-reward
    10 --weight-dynamics 3.2 --weight-reward 1

    Or from a run directory, whose curves and weights are measured first:
    paracosm plan runs/pendulum --budget 20000 --cost-dynamics 1 --cost-reward 10

    Attributes:
        source: The CSV file or the run directory.
        budget: The money to spend now, in the unit of the prices.
        cost_dynamics: Price of one transition. A run's own if not given (1 unless the run was given
            another); needed with a CSV file.
        cost_reward: Price of one reward label. A run's own if not given (1 unless the run was given
            another); needed with a CSV file.
        error: Of a CSV file: whether its errors are root mean squares or mean squares.
        weight_dynamics: Of a CSV file: what a unit of dynamics error costs in return.
        weight_reward: Of a CSV file: what a unit of reward error costs in return.
        owned_dynamics: Transitions owned already; the largest in the curve if not given.
        owned_reward: Reward labels owned already; the largest in the curve if not given.
        include_owned: The budget also paid for what is owned already, at these prices.
        cost_joint: Price of a transition that comes with its reward label, if that is for sale;
            lots do not hold for these.
        label_source: Another source of labels: its name, a label's price, and how many of the plain
            labels one of its labels is worth: 0.5 with twice their noise variance. May be given
            several times.
        episodes: Price of a real episode of the policy that the purchase trains, if its return is
            to be known too: the budget is then split in three.
        episode_deviation: Of a CSV file with --episodes: the standard deviation of an episode's
            return, in the unit and at the discount of the weights.
        lot_dynamics: Transitions are sold in lots of so many.
        lot_reward: Reward labels are sold in lots of so many.
        weights: Of a run: what a unit of each error costs in return, as the audit realised it (if
            not given), at its steepest, fitted to the audit's own terms, or from global Lipschitz
            constants. The other routes that were measured are compared with it.
        trust: Import the code that the run names (its environment or known parts), if the run is
            your own.
        seed: Of the learning curves that are drawn where the measurements leave them open.
        out: Write the plan as a page here.
        json: Print one JSON document on stdout instead of the summary.
    """

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CURVES|RUN")]
    budget: Annotated[float, tyro.conf.arg(metavar="MONEY")]
    cost_dynamics: Annotated[float | None, tyro.conf.arg(metavar="PRICE")] = None
    cost_reward: Annotated[float | None, tyro.conf.arg(metavar="PRICE")] = None
    error: Annotated[Literal["rms", "mse"] | None, tyro.conf.arg(metavar="{rms,mse}")] = None
    weight_dynamics: Annotated[float | None, tyro.conf.arg(metavar="WEIGHT")] = None
    weight_reward: Annotated[float | None, tyro.conf.arg(metavar="WEIGHT")] = None
    owned_dynamics: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    owned_reward: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    include_owned: bool = False
    cost_joint: Annotated[float | None, tyro.conf.arg(metavar="PRICE")] = None
    label_source: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME:PRICE:WORTH")
    ] = ()
    episodes: Annotated[float | None, tyro.conf.arg(metavar="PRICE")] = None
    episode_deviation: Annotated[float | None, tyro.conf.arg(metavar="RETURN")] = None
    lot_dynamics: int = 1
    lot_reward: int = 1
    weights: Annotated[
        Literal["realised", "steepest", "fitted", "global"] | None,
        tyro.conf.arg(metavar="{realised,steepest,fitted,global}"),
    ] = None
    trust: bool = False
    seed: int = 0
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(PlanFlags, arguments, "plan")
    _require_terms(flags)
    measurements = _measure_run(flags) if os.path.isdir(flags.source) else _read_table(flags)
    record = _make_plan(flags, measurements, _episode_offer(flags, measurements))
    output.deliver(record, record.to_dict(), flags.out, as_json=flags.json)


def _require_terms(flags: PlanFlags) -> None:
    """Refuse what is no purchase before minutes of measuring."""
    require_terms(
        budget=flags.budget,
        cost_dynamics=flags.cost_dynamics,
        cost_reward=flags.cost_reward,
        owned=_owned(flags),
        cost_joint=flags.cost_joint,
        sources=tuple(map(_label_source, flags.label_source)),
        lots=(flags.lot_dynamics, flags.lot_reward),
        cost_episode=flags.episodes,
        seed=flags.seed,
    )


def _owned(flags: PlanFlags) -> dict[str, int]:
    """The counts that flags name."""
    flagged = {part: getattr(flags, f"owned_{part}") for part in PLANNED_PARTS}
    return {part: count for part, count in flagged.items() if count is not None}


def _read_table(flags: PlanFlags) -> Measurements:
    """The curves of a CSV file, with the weights and prices of the flags."""
    if not os.path.isfile(flags.source):
        raise Missing(
            f"{shown(flags.source)} does not exist; a CSV file of learning curves or a run"
            " directory is needed."
        )
    if flags.weights is not None or flags.trust:
        raise BadArgument(
            f"{'--trust' if flags.trust else '--weights'} is for a run directory, not for a CSV"
            " file."
        )
    error, dynamics, reward, cost_dynamics, cost_reward = _needed(flags, *_NEEDED_WITH_TABLE)
    weights = Weights(
        dynamics=dynamics,
        reward=reward,
        norm="as given",
        discount=0.0,
        horizon=0,
        origin="the command line",
    )
    return Measurements(
        curves={**read_curves(flags.source, error)},
        collected={},
        weights=(weights,),
        owned={},
        cost_dynamics=cost_dynamics,
        cost_reward=cost_reward,
        warnings=(),
    )


def _measure_run(flags: PlanFlags) -> Measurements:
    """Measure a run's curves and weights; its own prices count where the flags name none."""
    for name in ("error", "weight_dynamics", "weight_reward", "episode_deviation"):
        if getattr(flags, name) is not None:
            raise BadArgument(
                f"{flag(name)} is for a CSV file; a run's curves, weights and returns are measured."
            )
    from paracosm.loop.measuring import measure  # imports JAX, which a CSV file does not need

    with output.progress() as tell:
        measurements = measure(
            flags.source, weights=flags.weights or "realised", trust=flags.trust, progress=tell
        )
    names = ("cost_dynamics", "cost_reward")
    prices = {name: getattr(flags, name) for name in names if getattr(flags, name) is not None}
    return dataclasses.replace(measurements, **prices)


def _episode_offer(flags: PlanFlags, measurements: Measurements) -> EpisodeOffer | None:
    """The real episodes for sale; `None` where --episodes names no price."""
    if flags.episodes is None:
        if flags.episode_deviation is not None:
            raise BadArgument("--episode-deviation is for --episodes, which is not given.")
        return None
    if not os.path.isdir(flags.source):
        (deviation,) = _needed(flags, "episode_deviation")
        return EpisodeOffer(cost=flags.episodes, deviation=deviation)
    from paracosm.loop.measuring import episode_deviation

    discount = measurements.weights[0].discount
    with output.progress() as tell:
        deviation = episode_deviation(flags.source, discount, trust=flags.trust, progress=tell)
    return EpisodeOffer(cost=flags.episodes, deviation=deviation)


def _make_plan(flags: PlanFlags, measurements: Measurements, episodes: EpisodeOffer | None) -> Plan:
    """The plan; counts that flags name come before those that were measured."""
    curves = cast(dict[Bought, Curve], measurements.curves)
    owned = owned_counts(curves, {**measurements.owned, **_owned(flags)})
    prices = {"dynamics": measurements.cost_dynamics, "reward": measurements.cost_reward}
    record = plan(
        curves,
        measurements.weights,
        budget=flags.budget,
        cost_dynamics=measurements.cost_dynamics,
        cost_reward=measurements.cost_reward,
        owned=owned,
        cost_joint=flags.cost_joint,
        sources=tuple(map(_label_source, flags.label_source)),
        lots=(flags.lot_dynamics, flags.lot_reward),
        spent=sum(prices[part] * owned[part] for part in PLANNED_PARTS)
        if flags.include_owned
        else 0.0,
        episodes=episodes,
        seed=flags.seed,
    )
    return dataclasses.replace(
        record,
        warnings=(*measurements.warnings, *record.warnings),
        placement=placement_of_plan(measurements.regions, record),
    )


def _needed(flags: PlanFlags, *names: str) -> list[Any]:
    """The values of flags that must be given.

    Raises:
        BadArgument: some are not given; it names them all.
    """
    lacking = [flag(name) for name in names if getattr(flags, name) is None]
    if lacking:
        *others, last = lacking
        listed = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        raise BadArgument(
            f"{listed} not given; what a run directory tells must be said of a CSV file, see"
            " paracosm plan --help."
        )
    return [getattr(flags, name) for name in names]


def _label_source(text: str) -> Offer:
    """The source of labels that `NAME:PRICE:WORTH` describes."""
    try:
        name, price, worth = text.split(":")
        offer = Offer(name, float(price), labels=float(worth))
    except ValueError:
        raise BadArgument(
            f"--label-source is {text!r}; NAME:PRICE:WORTH is needed, such as crowd:2:0.5."
        ) from None
    positive(f"the price of a label from {name}", float(price))
    positive(f"the worth of a label from {name}", float(worth))
    return offer
