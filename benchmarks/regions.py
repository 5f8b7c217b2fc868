"""Does it pay to buy where the audit says that the world errs? Transitions bought by region of
the visited states, against the policy's own, and random ones, at equal budget.

    python -m benchmarks.regions OUT [SEEDS]     about half an hour on two idle cores

For each task a fixed policy is written by hand, so that nothing but the world is learned; reward
and end rule are known. A world is learned from 300 transitions of random actions. The audit of the
policy's 20 recorded episodes gives the regions, and 300 transitions more are bought by one of four
rules; the world is learned again from all of them. What counts is measured on 50 other episodes of
the policy: the term, the size of the gap that dynamics and end rule make, and the error, the summed
sizes of the steps' contributions to it, which is what the advice minimises.

The rules:
- region: from states that the policy visited, as many from each region as `planning.placement`
  says, 5 steps each of the policy with noise;
- visits: the same, as many from each region as the policy visits it;
- policy: whole episodes of the policy with the same noise, from the task's starts;
- random: single steps, uniform in state and action.

The first two need an environment that can start in a given state. Results go to OUT, one file a
task and seed, so that a stopped benchmark goes on; the table is benchmarks/regions.md.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.attribution import attribute
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.regions import partition, regions_of
from paracosm.auditing.subject import AuditSubject
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.estimators import student_mean
from paracosm.core.files import atomic_write
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.policy import Deterministic, MarkovPolicy, Noisy, Policy, Uniform
from paracosm.core.precision import in_double
from paracosm.core.recordings import state_scale
from paracosm.core.rollout import rollout
from paracosm.learning.learn import LearnSettings, learn
from paracosm.learning.settings import FitSettings
from paracosm.planning.placement import placement
from paracosm.real.mazes import u_maze
from paracosm.real.systems import pendulum

FIRST, MORE, EPISODES, FRESH = 300, 300, 20, 50
NOISE, SEGMENT, DISCOUNT, SEEDS = 0.3, 5, 0.97, 6
MOST_IMAGINED = 3_000_000
SETTINGS = LearnSettings(fit=FitSettings(members=2))
RULES = ("region", "visits", "policy", "random")
MEASURES = ("error", "term", "one_step")

Starts = Callable[[int, int], np.ndarray]
Play = Callable[[Policy, np.ndarray, int, int], Trajectory]


class Task(NamedTuple):
    """What is known of a task, and how it is played.

    `play(policy, states, steps, seed)` starts in any states, `[episode, state]`; `starts(count,
    seed)` are the task's own, `anywhere(count, seed)` uniform states.
    """

    spec: Spec
    policy: MarkovPolicy
    reward: Callable
    ends: Callable
    starts: Starts
    anywhere: Starts
    play: Play


class SwingUp(eqx.Module):
    """Energy shaping, then linear feedback near the top."""

    def __call__(self, state):
        cos, sin, speed = state
        energy = speed**2 / 2 + 15 * (cos - 1)
        swing = -0.3 * energy * jnp.where(speed >= 0, 1.0, -1.0)
        return jnp.clip(jnp.where(cos > 0.85, -(10 * sin + 2 * speed), swing), -2, 2)[None]


class AroundTheWall(eqx.Module):
    """To the right of the wall, up beside it, then to the goal."""

    goal: jax.Array

    def __call__(self, state):
        x, y = state
        past = jnp.where(y > 0.35, self.goal, jnp.array([0.7, 0.5], state.dtype))
        way = jnp.where((y < 0) & (x < 0.6), jnp.array([0.7, -0.5], state.dtype), past)
        return jnp.clip(10 * (way - state), -1, 1)


class Reach(eqx.Module):
    """Torques that pull the fingertip to the target, damped; of Reacher's observation."""

    pull: float = 8.0
    damp: float = 0.05

    def __call__(self, state):
        cos_1, cos_2, sin_1, sin_2 = state[:4]
        cos, sin = cos_1 * cos_2 - sin_1 * sin_2, sin_1 * cos_2 + cos_1 * sin_2
        outer = 0.11 * jnp.stack([-sin, cos])
        jacobian = jnp.stack([outer + 0.1 * jnp.stack([-sin_1, cos_1]), outer])
        return jnp.clip(-self.pull * jacobian @ state[8:10] - self.damp * state[6:8], -1, 1)


class NearGoal(eqx.Module):
    """Minus the distance to the goal, through walls: finite wherever imagination goes."""

    goal: jax.Array

    def __call__(self, state, action, next_state):
        return -jnp.sqrt(jnp.sum((next_state - self.goal) ** 2) + 1e-6)


def reacher_reward(state, action, next_state):
    """Of Gymnasium's Reacher-v5."""
    return -jnp.sqrt(jnp.sum(next_state[8:10] ** 2) + 1e-12) - jnp.sum(action**2)


def of_system(mdp: MDP, policy: MarkovPolicy, anywhere: Callable) -> Task:
    """A JAX-native system; `anywhere(key)` is a uniform state."""

    def keys(count: int, seed: int) -> jax.Array:
        return jax.random.split(jax.random.key(seed), count)

    def play(policy: Policy, states: np.ndarray, steps: int, seed: int) -> Trajectory:
        played = rollout(mdp, policy, jnp.asarray(states), keys(len(states), seed), steps)
        return jax.tree.map(np.asarray, played)

    def drawn(draw: Callable) -> Starts:
        return lambda count, seed: np.asarray(jax.vmap(draw)(keys(count, seed)))

    parts = mdp.reward, mdp.termination, drawn(mdp.initial), drawn(anywhere)
    return Task(mdp.spec, policy, *parts, play)


def swinging() -> Task:
    """The library's pendulum."""

    def anywhere(key: jax.Array) -> jax.Array:
        angle, speed = jax.random.uniform(key, (2,), minval=-1) * jnp.array([math.pi, 8.0])
        return jnp.stack([jnp.cos(angle), jnp.sin(angle), speed])

    return of_system(pendulum(DISCOUNT), Deterministic(SwingUp()), anywhere)


def walking() -> Task:
    """The library's U-maze, paid for being near the goal."""
    maze = u_maze(discount=DISCOUNT)
    goal = jnp.asarray(maze.reward.maze.goal)
    everywhere = u_maze(anywhere=True).initial
    return of_system(
        maze.replace(reward=NearGoal(goal)), Deterministic(AroundTheWall(goal)), everywhere
    )


def reaching() -> Task:
    """Gymnasium's Reacher, put into states by what its observation says of them."""
    env = gymnasium.make("Reacher-v5").unwrapped

    def put(state: np.ndarray) -> np.ndarray:
        angles = np.arctan2(state[2:4], state[:2])
        position = np.concatenate([angles, state[4:6]])
        env.set_state(position, np.concatenate([state[6:8], np.zeros(2)]))
        return env._get_obs()

    def play(policy: Policy, states: np.ndarray, steps: int, seed: int) -> Trajectory:
        act = eqx.filter_jit(lambda state, key: policy.act(policy.initial(), state, key)[0])
        keys = jax.random.split(jax.random.key(seed), (len(states), steps))
        rows = []
        for start, noise in zip(states, keys, strict=True):
            observed = put(start)
            for key in noise:
                action = np.asarray(act(jnp.asarray(observed, jnp.float32), key))
                after, reward, *_ = env.step(action)
                rows.append((observed, action, after, reward))
                observed = after
        shape = len(states), steps
        state, action, after, reward = (
            np.asarray(column, np.float32).reshape(*shape, *np.shape(column[0]))
            for column in zip(*rows, strict=True)
        )
        none = np.zeros(shape, bool)
        last = none.copy()
        last[:, -1] = True
        return Trajectory(state, action, after, reward, none, last, ~none)

    def starts(count: int, seed: int) -> np.ndarray:
        return np.stack([env.reset(seed=1000 * seed + i)[0] for i in range(count)])

    def anywhere(count: int, seed: int) -> np.ndarray:
        draws = np.random.default_rng(seed)
        angles = draws.uniform(-1, 1, (count, 2)) * [math.pi, 3.0]
        speed = draws.uniform(-10, 10, (count, 2))
        way, size = draws.uniform(-math.pi, math.pi, count), 0.2 * np.sqrt(draws.random(count))
        target = size[:, None] * np.stack([np.cos(way), np.sin(way)], 1)
        # The last two components follow from the others when the arm is put there.
        columns = np.cos(angles), np.sin(angles), target, speed, np.zeros((count, 2))
        return np.stack([put(state) for state in np.concatenate(columns, axis=1)])

    space = Box(-jnp.ones(2), jnp.ones(2))
    observations = play(Uniform(space), starts(10, 99), 50, 0).state.reshape(-1, 10)
    spec = Spec(10, space, jnp.asarray(state_scale(observations)), 50)
    return Task(spec, Deterministic(Reach()), reacher_reward, never, starts, anywhere, play)


TASKS = {"pendulum": swinging, "reacher": reaching, "maze": walking}


def rows_of(played: Trajectory, count: int) -> Dataset:
    """The first so many steps."""
    return Dataset.from_trajectory(played).first(count)


def bought(task: Task, rule: str, shares: dict[str, np.ndarray], visited: list, seed: int):
    """300 transitions by a rule; `visited` are the states of each region."""
    explorer = Noisy(task.policy, task.spec.action, NOISE)
    if rule == "random":
        return rows_of(
            task.play(Uniform(task.spec.action), task.anywhere(MORE, seed), 1, seed), MORE
        )
    if rule == "policy":
        return rows_of(task.play(explorer, task.starts(40, seed), task.spec.horizon, seed), MORE)
    segments = MORE // SEGMENT
    edges = np.round(np.cumsum(np.concatenate([[0.0], shares[rule]])) * segments).astype(int)
    draws = np.random.default_rng(seed)
    starts = [
        states[draws.integers(len(states), size=count)]
        for states, count in zip(visited, np.diff(edges), strict=True)
    ]
    # A start that ends early leaves steps to more starts, by the same shares.
    rows = np.random.default_rng([seed, 1]).permutation(segments)
    first = np.concatenate(starts)
    return rows_of(task.play(explorer, np.concatenate([first, first[rows]]), SEGMENT, seed), MORE)


def measured(task: Task, world: MDP, fresh: Trajectory) -> dict[str, float]:
    """Error and size of the gap's terms, over the policy's episodes, and the root mean square
    one-step error.
    """
    key = jax.random.key(0)
    with jax.enable_x64(True):
        played = in_double((world, task.policy, fresh))
        predictions = predict_steps(*played, key, as_played=task.policy)
        subject = AuditSubject(*played, predictions, key, (world.discount,))
        terms = attribute(subject, most_imagined_steps=MOST_IMAGINED)
        apart = (predictions.imagined_state - fresh.next_state) / np.asarray(task.spec.state_scale)
    steps = terms.dynamics + terms.termination
    return {
        "error": float(np.abs(steps).sum(axis=1).mean()),
        "term": float(abs(steps.sum(axis=1).mean())),
        "one_step": float(np.sqrt((apart[fresh.alive] ** 2).sum(axis=1).mean())),
    }


def compared(task: Task, seed: int) -> dict[str, dict[str, float]]:
    """What each rule leaves, and what was there before."""
    base = 10_000 * (seed + 1)
    horizon = task.spec.horizon
    first = rows_of(
        task.play(Uniform(task.spec.action), task.starts(40, base), horizon, base), FIRST
    )
    recorded, fresh = (
        task.play(task.policy, task.starts(count, base + i), horizon, base + i)
        for i, count in ((1, EPISODES), (2, FRESH))
    )

    def learned(data: Dataset) -> MDP:
        known = {"reward": task.reward, "termination": task.ends}
        return learn(
            data, task.spec, discount=DISCOUNT, seed=seed, settings=SETTINGS, **known
        ).world

    world = learned(first)
    regions = regions_of(
        world,
        task.policy,
        recorded,
        first.transitions,
        jax.random.key(0),
        most_imagined_steps=MOST_IMAGINED,
    )
    states = recorded.state[recorded.alive]
    parts = partition(states, np.asarray(task.spec.state_scale))
    visited = [states[parts.visited == i] for i in range(len(parts.centers))]
    where = placement(regions, MORE)
    assert where is not None
    steps = np.array([row.steps for row in regions.regions])
    shares = {"region": np.array(where.shares), "visits": steps / steps.sum()}
    left = {"before": measured(task, world, fresh)}
    for rule in RULES:
        more = bought(task, rule, shares, visited, base + 3)
        left[rule] = measured(task, learned(first.join(more)), fresh)
    detail = {name: share.tolist() for name, share in shares.items()}
    owned = [row.owned for row in regions.regions]
    return left | {"shares": {**detail, "owned": owned, "predicted": where.predicted}}


def measure(out: Path, seeds: int) -> None:
    """Every task and seed that is not in `out` yet, seed by seed."""
    tasks = {}
    for seed in range(seeds):
        for name, make in TASKS.items():
            file = out / f"{name}_{seed}.json"
            if file.is_file():
                continue
            if name not in tasks:
                tasks[name] = make()
            record = compared(tasks[name], seed)
            with atomic_write(file) as part:
                part.write_text(json.dumps(record), encoding="utf-8")
            print(name, seed, {rule: f"{record[rule]['error']:.3g}" for rule in RULES}, flush=True)


def table(out: Path) -> str:
    """Means over seeds, and each rule over buying by the policy: the geometric mean of the ratios
    with Student's 95% interval.
    """
    head = ["task", "measure", "before", *RULES, *(f"{rule} / policy" for rule in RULES[:2]), "n"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name in TASKS:
        records = [json.loads(file.read_text()) for file in sorted(out.glob(f"{name}_*.json"))]
        for measure_ in MEASURES:
            values = {
                rule: np.array([record[rule][measure_] for record in records])
                for rule in ("before", *RULES)
            }
            cells = [f"{rows.mean():.3g} ± {_spread(rows):.2g}" for rows in values.values()]
            ratios = [_ratio(values[rule] / values["policy"]) for rule in RULES[:2]]
            lines.append(
                f"| {name} | {measure_} | {' | '.join([*cells, *ratios])} | {len(records)} |"
            )
    return "\n".join(lines)


def _spread(values: np.ndarray) -> float:
    """Standard error over seeds."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _ratio(ratios: np.ndarray) -> str:
    log = student_mean(np.log(ratios))
    return f"{np.exp(log.mean):.2f} [{np.exp(log.low):.2f}, {np.exp(log.high):.2f}]"


if __name__ == "__main__":
    where_to = Path(sys.argv[1])
    where_to.mkdir(parents=True, exist_ok=True)
    measure(where_to, int(sys.argv[2]) if len(sys.argv) > 2 else SEEDS)
    print(table(where_to))
