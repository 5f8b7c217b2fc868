"""Does the plan pay for real? Planned splits against a grid of splits, by the true gap of the
models that they buy.

    python -m benchmarks.purchases OUT [pendulum|reacher|linear-quadratic …]     about half an hour
    on two idle cores

For each environment there is one reference policy, its recorded episodes, and a pool of real steps,
half of random actions and half of the policy with noise. A budget buys transitions and reward
labels at 1:10 or 10:1. Every split buys random rows of the pool; models are learned from them as
`paracosm.learn` does, with two members; the gap is the mean over the policy's episodes of |real -
imagined return|, discounted. The planned split pays a pilot of a fifth of the budget, half on each
part; its curves and weights come from that pilot and from the recorded episodes.

Results go to OUT, one file a purchase, so that a stopped benchmark goes on; the table is
benchmarks/purchases.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import paracosm
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.sensitivities import error_weights
from paracosm.auditing.subject import AuditSubject
from paracosm.core.checks import BadData
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.files import whole
from paracosm.core.mdp import MDP, Spec
from paracosm.core.policy import Mode, Noisy, Policy
from paracosm.core.precision import in_double
from paracosm.core.rollout import rollout
from paracosm.learning.curves import learning_curve
from paracosm.learning.learn import LearnSettings, learn
from paracosm.learning.settings import FitSettings
from paracosm.loop.plans import plan
from paracosm.planning.plan import PLANNED_PARTS
from paracosm.real.systems import linear_quadratic
from paracosm.real.verbs import connect

BUDGET, PILOT, DISCOUNT = 20_000.0, 0.2, 0.95
SHARES = (0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95)  # of the budget, on transitions
PRICES = ((1.0, 10.0), (10.0, 1.0))
SEEDS = 5
POOL, EPISODES, NOISE = 40_000, 20, 0.3
SETTINGS = LearnSettings(fit=FitSettings(members=2))
ENVIRONMENTS = {"pendulum": "Pendulum-v1", "reacher": "Reacher-v5", "linear-quadratic": None}


class Case(NamedTuple):
    """An environment's reference policy, its recorded episodes, and the pool that purchases are
    drawn from.
    """

    policy: Policy
    episodes: Trajectory
    pool: Dataset
    spec: Spec


def case_of(name: str, out: Path) -> Case:
    """The same every time; Gymnasium's reference policy is that of a run with 5,000 transitions.

    The linear-quadratic system is slower than the library's own, whose states are at rest after
    three steps: there is something to learn on the way.
    """
    env = ENVIRONMENTS[name]
    if env is None:
        system, policy = linear_quadratic(
            jax.random.key(0), norms=(0.9, 0.3, 0.4), discount=DISCOUNT, horizon=50
        )
        source = connect(system)
    else:
        place = out / f"{name}-reference"
        if not (place / "result.json").is_file():
            paracosm.run(env, out=place, transitions=5000, seed=100, force=True)
        policy, source = paracosm.load(place).policy, connect(env)
    explorer = Noisy(policy, source.action, NOISE)
    half = POOL // 2
    pool = source.collect(half, seed=1).join(
        source.collect(half, seed=2, policy=explorer, first_episode=100_000)
    )
    return Case(policy, source.evaluate(policy, episodes=EPISODES), pool, source.spec(pool))


def fitted(case: Case, transitions: int, labels: int, seed: int) -> MDP:
    """The world that random rows of the pool teach.

    Args:
        case: whose pool.
        transitions, labels: how many rows of each.
        seed: of rows and fits.
    """
    rows = case.pool.buy(transitions, labels, seed)
    return learn(rows, case.spec, discount=DISCOUNT, seed=seed, settings=SETTINGS).world


def gap(case: Case, world: MDP) -> float:
    """The mean over the policy's episodes of |real - imagined return|, discounted."""
    start, horizon = jnp.asarray(case.episodes.state[:, 0]), case.episodes.alive.shape[1]
    dreamt = rollout(
        world, Mode(case.policy), start, jax.random.split(jax.random.key(0), len(start)), horizon
    )
    errors = np.asarray(case.episodes.reward) - np.asarray(dreamt.reward)
    return float(np.mean(np.abs(errors @ DISCOUNT ** np.arange(horizon))))


def recommended(case: Case, prices: tuple[float, float], seed: int) -> dict[str, Any]:
    """The counts that a plan from a pilot ends with, and what it said."""
    pilot = [int(PILOT * BUDGET / 2 / price) for price in prices]
    data, visited = case.pool.buy(*pilot, seed), Dataset.from_trajectory(case.episodes)
    curves = {
        part: learning_curve(
            part, data, case.spec, visited=visited, seed=seed, settings=SETTINGS
        ).curve
        for part in PLANNED_PARTS
    }
    world = fitted(case, *pilot, seed)
    with jax.enable_x64(True):
        wide, policy, episodes = in_double(
            (world, Mode(case.policy), jax.tree.map(np.asarray, case.episodes))
        )
        key = jax.random.key(0)
        predictions = predict_steps(wide, policy, episodes, key)
        subject = AuditSubject(wide, policy, episodes, predictions, key, (wide.discount,))
        routes = error_weights(subject)
    try:
        recommendation = plan(
            curves,
            routes,
            budget=(1 - PILOT) * BUDGET,
            cost_dynamics=prices[0],
            cost_reward=prices[1],
            owned=dict(zip(PLANNED_PARTS, pilot, strict=True)),
        )
        more, verdict = (recommendation.dynamics, recommendation.reward), recommendation.verdict
    except BadData as error:
        more, verdict = (
            tuple(int((1 - PILOT) * BUDGET / 2 / price) for price in prices),
            f"equal money, since {error}",
        )
    counts = [own + new for own, new in zip(pilot, more, strict=True)]
    kappas = {route.origin.split(":")[0]: [route.dynamics, route.reward] for route in routes}
    return {
        "counts": counts,
        "said": verdict,
        "weights": kappas,
        "curves": {p: curves[p].to_dict() for p in PLANNED_PARTS},
    }


def purchase(
    case: Case, prices: tuple[float, float], share: float | None, seed: int
) -> dict[str, Any]:
    """One purchase, and the gap of its world.

    Args:
        case: whose pool.
        prices: of a transition and of a label.
        share: of the budget on transitions; as a plan from a pilot has it, if there is none.
        seed: of rows and fits.
    """
    if share is None:
        record = recommended(case, prices, seed)
    else:
        record = {
            "counts": [
                int(part * BUDGET / price)
                for part, price in zip((share, 1 - share), prices, strict=True)
            ]
        }
    return {**record, "gap": gap(case, fitted(case, *record["counts"], seed))}


def measure(out: Path, names: list[str]) -> None:
    """Every purchase that is not in `out` yet."""
    for name in names:
        case = None
        for prices in PRICES:
            for seed in range(SEEDS):
                for share in (*SHARES, None):
                    label = "planned" if share is None else f"{share:g}"
                    file = out / f"{name}_{prices[0]:g}-{prices[1]:g}_{seed}_{label}.json"
                    if file.is_file():
                        continue
                    case = case or case_of(name, out)
                    record = purchase(case, prices, share, seed)
                    with whole(file) as part:
                        part.write_text(json.dumps(record), encoding="utf-8")
                    print(file.stem, record["counts"], f"{record['gap']:.4g}", flush=True)


def table(out: Path, names: list[str]) -> str:
    """Gaps by split, the planned one's regret against the best, and what equal spending loses, all
    over seeds.
    """
    head = [
        "environment",
        "prices",
        *(f"{share:.0%}" for share in SHARES),
        "planned",
        "its share",
        "over best",
        "equal over best",
    ]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name in names:
        for prices in PRICES:
            records = {
                label: [
                    json.loads(
                        (
                            out / f"{name}_{prices[0]:g}-{prices[1]:g}_{seed}_{label}.json"
                        ).read_text()
                    )
                    for seed in range(SEEDS)
                ]
                for label in (*(f"{share:g}" for share in SHARES), "planned")
            }
            gaps = {
                label: np.array([record["gap"] for record in rows])
                for label, rows in records.items()
            }
            best = min(
                (label for label in gaps if label != "planned"),
                key=lambda label: gaps[label].mean(),
            )
            spent = np.mean(
                [record["counts"][0] * prices[0] / BUDGET for record in records["planned"]]
            )
            over = [_over(gaps[label], gaps[best]) for label in ("planned", "0.5")]
            cells = [f"{rows.mean():.3g} ± {_spread(rows):.2g}" for rows in gaps.values()]
            lines.append(
                f"| {name} | {prices[0]:g}:{prices[1]:g} | {' | '.join(cells)} | {spent:.0%} |"
                f" {' | '.join(over)} |"
            )
    return "\n".join(lines)


def _spread(values: np.ndarray) -> float:
    """Standard error over seeds."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _over(gaps: np.ndarray, best: np.ndarray) -> str:
    """How far above the best split's, seed by seed."""
    return f"{gaps.mean() / best.mean() - 1:+.0%} ± {_spread(gaps - best) / best.mean():.0%}"


if __name__ == "__main__":
    where, chosen = Path(sys.argv[1]), sys.argv[2:] or [*ENVIRONMENTS]
    where.mkdir(parents=True, exist_ok=True)
    measure(where, chosen)
    print(table(where, chosen))
