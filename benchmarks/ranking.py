"""How well imagined returns, and few real episodes, rank checkpoints of short trainings: Kendall's
τ and selection regret against the real returns of 200 episodes of each.

    python benchmarks/ranking.py --tasks Pendulum-v1 --checkpoints 12 --truth 200 --out FILE
    python benchmarks/ranking.py --runs RUN RUN --out FILE

Of each task one run of short rounds gives the checkpoints, its rounds' policies; each is imagined
in the world of its round. Finished runs are taken as they are. Three ways to choose among them are
held against the truth: by imagined returns, by `paracosm.rank` (the best alone, at most 20 episodes
a policy), and by as many real episodes shared equally. No way sees an episode of the truth.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import paracosm
from paracosm.loop.load import Run, load
from paracosm.loop.ranking import rank_runs
from paracosm.loop.short_rounds import TRANSITIONS

TASKS = ("Pendulum-v1", "CartPole-v1", "Acrobot-v1")
# Of each policy and none of the seeds that a ranking plays.
FIRST_SEED = 500_000
MOST_EACH = 20


def trained(tasks: Sequence[str], checkpoints: int, folder: Path) -> Iterator[Path]:
    """A run of about so many rounds of each task, one after the other."""
    for task in tasks:
        paracosm.run(task, transitions=TRANSITIONS * checkpoints, episodes=2, out=folder / task)
        yield folder / task


def true_returns(checkpoints: list[Run], episodes: int) -> np.ndarray:
    """Real returns of each checkpoint, `[policy, episode]`, of the same starts."""
    observed = checkpoints[0].observed_source()
    played = [
        run.source(observed).evaluate(run.policy, episodes=episodes, first_seed=FIRST_SEED)
        for run in checkpoints
    ]
    return np.stack([np.asarray(trajectory.reward).sum(axis=1) for trajectory in played])


def measured(out: Path, truth: int) -> dict[str, object]:
    """Rank the checkpoints of a run, and hold the ranking against the truth."""
    begun = time.perf_counter()
    run = load(out)
    rounds = run.checkpoints()
    returns = true_returns(rounds, truth + MOST_EACH)
    returns, remaining = returns[:, :truth], returns[:, truth:]
    names = [f"round {run.round + 1}" for run in rounds if run.round is not None]
    by_name = dict(zip(names, returns.mean(axis=1), strict=True))
    played = time.perf_counter()
    ranking = rank_runs(out, best=True, most_episodes=MOST_EACH * len(rounds))
    bought = ranking.bought
    assert bought is not None
    ranked = [policy.name for policy in ranking.policies]
    real = np.array([by_name[name] for name in ranked])
    imagined = np.array([policy.imagined.mean for policy in ranking.policies])
    per_policy = min(max(2, bought.total // len(ranked)), MOST_EACH)
    equally = np.array([remaining[names.index(name), :per_policy].mean() for name in ranked])
    estimates = [policy.real.mean for policy in ranking.policies]

    def judged(values: np.ndarray | list[float]) -> dict[str, float]:
        # Pairs of equal returns count as neither: scipy's τ is NaN where all of them are equal.
        signs = [np.sign(np.subtract.outer(of, of)) for of in (np.asarray(values), real)]
        tau = float(np.sum(signs[0] * signs[1])) / (len(real) * (len(real) - 1))
        return {"tau": tau, "regret": float(real.max() - real[int(np.argmax(values))])}

    return {
        "task": run.config.env,
        "seed": run.config.seed,
        "transitions": run.config.transitions,
        "checkpoints": len(ranked),
        "left_out": list(ranking.left_out),
        "truth_episodes": truth,
        "true_returns": by_name,
        "standard_error": float(np.max(returns.std(axis=1, ddof=1)) / np.sqrt(truth)),
        "by_imagination": judged(imagined),
        "by_rank": {**judged(estimates), "episodes": bought.total, "sure": bought.sure},
        "by_equal_numbers": {**judged(equally), "episodes": per_policy * len(ranked)},
        "tau_interval": [ranking.tau.low, ranking.tau.high],
        "regret_interval": [ranking.regret.low, ranking.regret.high],
        "safe_horizon": ranking.safe_horizon,
        "equal_design": bought.equal,
        "seconds": {
            "truth": round(played - begun),
            "rank": round(time.perf_counter() - played),
        },
    }


def main() -> None:
    """Write the numbers of each task as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    parser.add_argument("--checkpoints", type=int, default=12)
    parser.add_argument("--truth", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("ranking.json"))
    flags = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for run in flags.runs or trained(flags.tasks, flags.checkpoints, Path(folder)):
            results.append(measured(run, flags.truth))
            flags.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(json.dumps(results[-1], indent=1))


if __name__ == "__main__":
    main()
