"""The mazes of E9: episodes of random actions as pictures, and planning to the goal's picture."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core.data import Dataset, Trajectory
from paracosm.core.encoder import Encoder, Observation
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.observing import Observing
from paracosm.core.policy import Policy
from paracosm.core.rollout import rollout
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State
from paracosm.imagination.planners import CEM, MPPI, GradientPlanner, Planner
from paracosm.learning.latent.joint import LatentDynamics, LatentNetworks
from paracosm.paper.e9_choices import SIDE
from paracosm.real import mazes
from paracosm.real.mazes import MazePicture
from paracosm.real.rendered.maze import TWO_ROOMS, U_MAZE

MAKERS = {"two rooms": mazes.two_rooms, "U-maze": mazes.u_maze}
TASKS = {"two rooms": TWO_ROOMS, "U-maze": U_MAZE}
KINDS: dict[str, type[Planner]] = {"gradient": GradientPlanner, "CEM": CEM, "MPPI": MPPI}


class HeldActions(Policy):
    """Uniform actions, each held for a random number of steps.

    Attributes:
        space: Of the actions.
        hold: The chance that a step repeats the action before it.
    """

    space: Box
    hold: Scalar

    def initial(self) -> tuple[Array, Flag]:
        return jnp.zeros(self.space.size), jnp.zeros((), bool)

    def act(self, carry: Any, state: State, key: PRNGKey) -> tuple[Action, Any]:
        before, begun = carry
        for_hold, for_action = jax.random.split(key)
        held = begun & (jax.random.uniform(for_hold) < self.hold)
        low, high = self.space.low, self.space.high
        drawn = jax.random.uniform(for_action, before.shape, minval=low, maxval=high)
        action = jnp.where(held, before, drawn)
        return action, (action, jnp.ones((), bool))

    def greedy(self) -> Policy:
        return self


class SeenEncoder(Encoder):
    """An encoder's beliefs of the pictures that show positions.

    Attributes:
        encoder: Of pictures.
        picture: Draws a position.
    """

    encoder: Encoder
    picture: MazePicture

    def initial(self, observation: Observation) -> State:
        return self.encoder.initial(self.picture(observation))

    def update(self, state: State, action: Action, observation: Observation) -> State:
        return self.encoder.update(state, action, self.picture(observation))


class GoalDistance(eqx.Module):
    """Minus the squared distance of the next state from the goal's."""

    goal: Float[Array, " state"]

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return -jnp.sum((next_state - self.goal) ** 2)


def actions_of(maze: str) -> Box:
    """The actions of this maze."""
    space: Any = MAKERS[maze]().spec.action
    return space


def picture_of(maze: str) -> MazePicture:
    """Draws the positions of this maze."""
    return MazePicture(TASKS[maze], SIDE)


def recorded(
    maze: str, episodes: int, steps: int, hold: float, key: PRNGKey
) -> tuple[Trajectory, np.ndarray]:
    """Episodes of `HeldActions` from anywhere, that no goal ends, and pictures of all their states.

    Args:
        maze: Of `MAKERS`.
        episodes: How many.
        steps: Of each.
        hold: The chance that an action is held.
        key: Of starts and actions.

    Returns:
        Positions and actions, `[episode, step, …]`, and pictures in bytes, `[episode, step + 1,
        pixels]`.
    """
    real = MAKERS[maze](anywhere=True).replace(termination=never)
    for_starts, for_actions = jax.random.split(key)
    starts = jax.vmap(real.initial)(jax.random.split(for_starts, episodes))
    policy = HeldActions(actions_of(maze), jnp.asarray(hold))
    played = rollout(real, policy, starts, jax.random.split(for_actions, episodes), steps)
    return played, np.asarray(_drawn(picture_of(maze), positions(played)))


def positions(played: Trajectory) -> Float[Array, "episode _ state"]:
    """Every state, the last one included."""
    return jnp.concatenate([played.state, played.next_state[:, -1:]], axis=1)


@eqx.filter_jit
def _drawn(picture: MazePicture, states: Array) -> Array:
    return jax.vmap(jax.vmap(picture))(states)


def table(played: Trajectory, pictures: np.ndarray) -> Dataset:
    """The rows of episodes that were seen as pictures; no reward was bought."""
    episodes, steps = played.reward.shape
    rows = episodes * steps
    return Dataset(
        state=pictures[:, :-1].reshape(rows, -1),
        action=np.asarray(played.action).reshape(rows, -1),
        next_state=pictures[:, 1:].reshape(rows, -1),
        reward=np.full(rows, np.nan),
        terminated=np.zeros(rows, bool),
        truncated=np.asarray(played.truncated).reshape(rows),
        episode=np.repeat(np.arange(episodes), steps),
        time=np.tile(np.arange(steps), episodes),
        has_transition=np.ones(rows, bool),
        has_label=np.zeros(rows, bool),
    )


def goal_of(networks: LatentNetworks, maze: str) -> Float[Array, " features"]:
    """The features of the picture of the robot at the goal."""
    return networks.encoder.initial(picture_of(maze)(jnp.asarray(TASKS[maze].maze.goal)))


def latent_world(networks: LatentNetworks, maze: str) -> MDP:
    """The learned world of one picture's features; a step costs the squared distance from the
    features of the goal's picture.
    """
    goal = goal_of(networks, maze)
    spec = Spec(len(goal), actions_of(maze), jnp.ones(len(goal)), TASKS[maze].horizon)
    return MDP(spec, LatentDynamics(networks), GoalDistance(goal), never, jnp.zeros, 1.0)


def seeing(planner: Planner, networks: LatentNetworks, maze: str) -> Policy:
    """A planner of features as a policy of positions, which it sees as pictures."""
    encoder = SeenEncoder(networks.encoder, picture_of(maze))
    return Observing(planner, encoder, planner.world.spec.action, 2)


def known_worlds(maze: str) -> dict[str, MDP]:
    """The maze itself, where a step costs the squared distance along a straight line, or the
    length of the shortest way.
    """
    world = MAKERS[maze](dense=True, discount=1.0).replace(termination=never)
    goal = jnp.asarray(TASKS[maze].maze.goal)
    return {"straight line": world.replace(reward=GoalDistance(goal)), "shortest way": world}


def ways(maze: str, states: Float[Array, "*batch state"]) -> np.ndarray:
    """Lengths of the shortest ways from positions to the goal, `[*batch]`."""
    reward = MAKERS[maze](dense=True).reward
    return -np.asarray(jnp.vectorize(lambda s: reward(s, s, s), signature="(n)->()")(states))


def attempts(maze: str, policy: Policy, count: int, seed: int) -> float:
    """Of `count` episodes that start behind the wall, the share that reaches the goal.

    Args:
        maze: Of `MAKERS`.
        policy: Acts on positions.
        count: How many.
        seed: Of starts and searches.
    """
    real = MAKERS[maze]()
    for_starts, for_search = jax.random.split(stage_key(seed, "attempts"))
    starts = jax.vmap(real.initial)(jax.random.split(for_starts, count))
    keys = jax.random.split(for_search, count)
    played = rollout(real, policy, starts, keys, TASKS[maze].horizon)
    return float(np.asarray(played.terminated).any(axis=1).mean())
