"""Are planted faults named in models of ordinary quality? Rates by fault and environment, and false
alarms.

    python -m benchmarks.faults OUT [SEEDS] [pendulum|cartpole|mountain-car|reacher …]

A model is `paracosm.learn` on 5,000 random transitions with ensembles of 5, one for every seed and
environment; another reward ensemble is learned from labels that are one step late. Every fault is
planted by swapping a part: the late reward, `r̂ + 0.1`, an end rule that never ends, dynamics asked
with 1.2 times the action; gravity is 1.1 times as strong in the real episodes. A fault counts as
named when the verdict blames its part or a finding is about it; an alarm is a finding where nothing
was planted.

Models and audits go to OUT, so that a stopped benchmark goes on; the table is benchmarks/faults.md.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.verdict import LEARNED, culprit
from paracosm.core.data import Dataset
from paracosm.core.files import whole
from paracosm.core.mdp import MDP, never
from paracosm.core.policy import Deterministic, Noisy
from paracosm.learning.learn import LearnSettings, learn
from paracosm.learning.settings import FitSettings
from paracosm.loop.auditing import audit
from paracosm.real.source import Source
from paracosm.real.verbs import connect

STEPS, EPISODES, DISCOUNT, NOISE, MOST_STEPS = 5_000, 20, 0.99, 0.5, 200_000
SETTINGS = LearnSettings(fit=FitSettings(members=5))
HORIZONS = {"pendulum": 200, "cartpole": 200, "mountain-car": 300, "reacher": 50}


class HeavyCar(gymnasium.Wrapper):
    """MountainCarContinuous with gravity 1.1 times as strong; its strength is no setting of the
    environment's.
    """

    def step(self, action: np.ndarray) -> tuple[Any, ...]:
        position, speed = self.unwrapped.state
        self.unwrapped.state = np.array([position, speed - 0.1 * 0.0025 * np.cos(3 * position)])
        return self.env.step(action)


def swing(state: jax.Array) -> jax.Array:
    """Swing to and fro, as fast as random actions do at times."""
    return 2 * jnp.clip(jnp.tanh(state[2:]) * (1 - (state[2:] / 4) ** 2), -1, 1)


def balance(state: jax.Array) -> jax.Array:
    """Feedback on the pole without damping: it falls."""
    return (state[2] > 0).astype(jnp.int32)


def pump(state: jax.Array) -> jax.Array:
    """Push along the speed."""
    return jnp.tanh(60 * state[1])[None]


def reach(state: jax.Array) -> jax.Array:
    """Pull the fingertip towards the target through the arm's Jacobian, with damping."""
    cos, sin, speed, off = state[:2], state[2:4], state[6:8], state[8:10]
    wrist = jnp.stack([cos[0] * cos[1] - sin[0] * sin[1], sin[0] * cos[1] + cos[0] * sin[1]])
    outer = 0.11 * jnp.stack([-wrist[1], wrist[0]])
    inner = outer + 0.1 * jnp.stack([-sin[0], cos[0]])
    return jnp.clip(-jnp.stack([inner @ off, outer @ off]) * 20 - 0.05 * speed, -1, 1)


class Subject(NamedTuple):
    """An environment, its heavier twin, the policy, and whether random actions never reach
    an end.
    """

    env: str
    heavy: Callable[[], gymnasium.Env] | None
    policy: Callable[[jax.Array], jax.Array]
    noisy: bool = False


def _heavy_cart() -> gymnasium.Env:
    env = gymnasium.make("CartPole-v1")
    env.unwrapped.gravity *= 1.1
    return env


TASKS = {
    "pendulum": Subject("Pendulum-v1", lambda: gymnasium.make("Pendulum-v1", g=11.0), swing),
    "cartpole": Subject("CartPole-v1", _heavy_cart, balance),
    "mountain-car": Subject(
        "MountainCarContinuous-v0",
        lambda: HeavyCar(gymnasium.make("MountainCarContinuous-v0")),
        pump,
        noisy=True,
    ),
    "reacher": Subject("Reacher-v5", None, reach),
}


def transitions(task: Subject, source: Source, seed: int) -> Dataset:
    """Random transitions; where these never reach an end, those of the policy with much noise."""
    noisy = Noisy(Deterministic(task.policy), source.action, NOISE) if task.noisy else None
    return source.collect(STEPS, seed=seed, policy=noisy)


def late(data: Dataset) -> Dataset:
    """The same with every reward written one row late; an episode's first row has none."""
    first = data.time == 0
    reward = np.where(first, np.nan, np.roll(data.reward, 1))
    return dataclasses.replace(data, reward=reward, has_label=~first)


class Worlds(NamedTuple):
    """What a seed's data teach: the world, the reward learned from late labels, the fixed
    policy.
    """

    world: MDP
    late: Callable
    policy: Deterministic


def fitted(name: str, seed: int, out: Path) -> Worlds:
    """Both fits, stored."""
    task, source = TASKS[name], connect(TASKS[name].env)
    data = transitions(task, source, seed)
    spec = source.spec(data)
    file = out / f"{name}_{seed}.eqx"
    # The stored leaves need a tree of the same structure, which one epoch gives.
    settings = (
        LearnSettings(fit=FitSettings(members=5, most_epochs=1)) if file.is_file() else SETTINGS
    )
    world = learn(data, spec, discount=DISCOUNT, seed=seed, settings=settings).world
    tardy = learn(late(data), spec, discount=DISCOUNT, seed=seed, settings=settings).world.reward
    if file.is_file():
        world, tardy = eqx.tree_deserialise_leaves(file, (world, tardy))
    else:
        eqx.tree_serialise_leaves(file, (world, tardy))
    return Worlds(world, tardy, Deterministic(task.policy))


class Stronger(eqx.Module):
    """Dynamics asked with 1.2 times the action."""

    part: Callable

    def __call__(self, state: jax.Array, action: jax.Array, key: jax.Array) -> jax.Array:
        return self.part(state, 1.2 * action, key)


class Richer(eqx.Module):
    """A reward and 0.1 on top."""

    part: Callable

    def __call__(self, state: jax.Array, action: jax.Array, next_state: jax.Array) -> jax.Array:
        return self.part(state, action, next_state) + 0.1


PARTS = {
    "late reward": "reward",
    "reward + 0.1": "reward",
    "actions × 1.2": "dynamics",
    "gravity × 1.1": "dynamics",
    "no end rule": "termination",
}
KINDS = {
    "late reward": ("reward timing",),
    "reward + 0.1": ("reward offset",),
    "actions × 1.2": ("action scale",),
    "gravity × 1.1": (),
    "no end rule": ("missed terminations",),
}


def part_of(kind: str) -> str:
    """The part that a finding is about."""
    if "reward" in kind:
        return "reward"
    return "termination" if "terminations" in kind or kind == "termination timing" else "dynamics"


def faulty(name: str, fault: str | None, worlds: Worlds) -> MDP | None:
    """The world with the fault; none where it would change nothing, or is no fault of this
    environment.
    """
    world = worlds.world
    if fault in (None, "gravity × 1.1"):
        return None if fault and TASKS[name].heavy is None else world
    if fault == "late reward":  # a pole's reward is always 1
        return None if name == "cartpole" else world.replace(reward=worlds.late)
    if fault == "reward + 0.1":
        return world.replace(reward=Richer(world.reward))
    if fault == "no end rule":
        return world.replace(termination=never) if name in ("cartpole", "mountain-car") else None
    return None if name == "cartpole" else world.replace(dynamics=Stronger(world.dynamics))


def audit_record(name: str, fault: str | None, worlds: Worlds, seed: int) -> dict[str, Any] | None:
    """What an audit of 20 episodes says; nothing where the fault would be none.

    Args:
        name: the environment's, of `TASKS`.
        fault: what is planted, of `PARTS`, if anything.
        worlds: what the seed's data taught.
        seed: of the episodes.
    """
    world = faulty(name, fault, worlds)
    if world is None:
        return None
    heavy = TASKS[name].heavy if fault == "gravity × 1.1" else None
    source = connect(heavy or TASKS[name].env)
    episodes = source.evaluate(
        worlds.policy, episodes=EPISODES, first_seed=10_000 + 100 * seed, horizon=HORIZONS[name]
    )
    diagnosis = audit(world, worlds.policy, episodes, certify=False, most_imagined_steps=MOST_STEPS)
    return {
        "blamed": culprit(diagnosis.gap, LEARNED),
        "findings": [[finding.kind, finding.sentence] for finding in diagnosis.findings],
        "verdict": diagnosis.verdict,
    }


def measure(out: Path, seeds: int, names: list[str]) -> None:
    """Every audit that is not in `out` yet."""
    for seed in range(seeds):
        for name in names:
            worlds = None
            for fault in (None, *PARTS):
                label = "clean" if fault is None else fault.replace(" ", "-").replace("×", "x")
                file = out / f"{name}_{seed}_{label}.json"
                if file.is_file():
                    continue
                worlds = worlds or fitted(name, seed, out)
                record = audit_record(name, fault, worlds, seed)
                with whole(file) as part:
                    part.write_text(json.dumps(record), encoding="utf-8")
                kinds = record and [kind for kind, _ in record["findings"]]
                print(file.stem, record and record["blamed"], kinds, flush=True)


def table(out: Path, seeds: int, names: list[str]) -> str:
    """Of each fault and environment: named by verdict or finding, by finding, by the finding of
    that fault.
    """
    head = ["fault", *names]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for fault in (None, *PARTS):
        label = "clean" if fault is None else fault.replace(" ", "-").replace("×", "x")
        cells = []
        for name in names:
            records = [
                json.loads((out / f"{name}_{seed}_{label}.json").read_text())
                for seed in range(seeds)
            ]
            cells.append(_cell(fault, [record for record in records if record is not None]))
        lines.append(f"| {fault or 'none: findings'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(fault: str | None, records: list[dict[str, Any]]) -> str:
    if not records:
        return "–"
    n = len(records)
    kinds = [[kind for kind, _ in record["findings"]] for record in records]
    if fault is None:
        return f"{sum(map(bool, kinds))} of {n}"
    part = PARTS[fault]
    by_finding = [any(part_of(kind) == part for kind in listed) for listed in kinds]
    named = [
        by_kind or record["blamed"] == part
        for by_kind, record in zip(by_finding, records, strict=True)
    ]
    exact = [any(kind in KINDS[fault] for kind in listed) for listed in kinds]
    return f"{sum(named)} of {n} ({sum(by_finding)} by finding, {sum(exact)} by this one)"


if __name__ == "__main__":
    where, count, chosen = (
        Path(sys.argv[1]),
        int(sys.argv[2]) if sys.argv[2:] else 7,
        sys.argv[3:] or [*TASKS],
    )
    where.mkdir(parents=True, exist_ok=True)
    measure(where, count, chosen)
    print(table(where, count, chosen))
