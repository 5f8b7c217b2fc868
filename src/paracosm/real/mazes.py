"""The mazes of a point robot as JAX-native systems, step by step those of `paracosm.envs`.

The state is the robot's position, `[2]`; `MazePicture` draws it.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, UInt8

from paracosm.core.mdp import MDP, Box, Spec
from paracosm.core.types import Array, Flag, PRNGKey, Scalar
from paracosm.real.rendered import maze
from paracosm.real.rendered.maze import TWO_ROOMS, U_MAZE, Maze, MazeTask, Scene


class MazeDynamics(eqx.Module):
    """A step of the robot; it slides along walls."""

    maze: Maze

    def __call__(self, state: Array, action: Array, key: PRNGKey) -> Float[Array, " state"]:
        return maze.move(self.maze, state, action)


class GoalReward(eqx.Module):
    """1 for a step that ends at the goal, else 0."""

    maze: Maze

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return maze.is_at_goal(self.maze, next_state).astype(state.dtype)


class DistanceReward(eqx.Module):
    """Minus the length of the shortest way from the end of the step to the goal."""

    maze: Maze

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        return -maze.distance(self.maze, next_state)


class GoalReached(eqx.Module):
    """The end rule: the step ends at the goal."""

    maze: Maze

    def __call__(self, state: Array, action: Array, next_state: Array) -> Flag:
        return maze.is_at_goal(self.maze, next_state)


class MazeStart(eqx.Module):
    """Starts uniform in boxes `(left, bottom, right, top)`, `[box, 4]`."""

    boxes: Float[Array, "box 4"]

    def __call__(self, key: PRNGKey) -> Float[Array, " state"]:
        draws = jax.random.uniform(key, (3,), jnp.float32)  # of 32 bits in a cast copy, too
        return maze.place_in_boxes(self.boxes, draws.astype(self.boxes.dtype))


class MazePicture(eqx.Module):
    """Draws states as `paracosm.envs` shows them: a flat row of uint8 for a position."""

    scene: Scene

    def __init__(self, task: MazeTask, size: int = 32, *, colour: bool = False) -> None:
        """Draw a maze.

        Args:
            task: `TWO_ROOMS` or `U_MAZE`.
            size: Height and width in pixels, 8 to 64.
            colour: Whether there are three channels, or one.
        """
        self.scene = _as_jax(maze.scene(task.maze, size, colour=colour))

    def __call__(self, state: Float[Array, " state"]) -> UInt8[Array, " pixels"]:
        return maze.draw(self.scene, state).reshape(-1)


def two_rooms(*, dense: bool = False, anywhere: bool = False, discount: float = 0.99) -> MDP:
    """The maze of `paracosm.envs.two_rooms`, whose arguments `dense` and `anywhere` are."""
    return _system(TWO_ROOMS, dense, anywhere, discount)


def u_maze(*, dense: bool = False, anywhere: bool = False, discount: float = 0.99) -> MDP:
    """The maze of `paracosm.envs.u_maze`, whose arguments `dense` and `anywhere` are."""
    return _system(U_MAZE, dense, anywhere, discount)


def _system(task: MazeTask, dense: bool, anywhere: bool, discount: float) -> MDP:
    """The MDP of a maze.

    Args:
        task: The maze, and where episodes start.
        dense, anywhere: As for `paracosm.envs.two_rooms`.
        discount: The MDP's discount.
    """
    jax_maze = _as_jax(task.maze)
    spec = Spec(
        2, action=Box(-jnp.ones(2), jnp.ones(2)), state_scale=jnp.ones(2), horizon=task.horizon
    )
    return MDP(
        spec,
        dynamics=MazeDynamics(jax_maze),
        reward=DistanceReward(jax_maze) if dense else GoalReward(jax_maze),
        termination=GoalReached(jax_maze),
        initial=MazeStart(jnp.asarray(task.free if anywhere else task.far)),
        discount=discount,
    )


def _as_jax(record: Any) -> Any:
    """The record with JAX's arrays in place of NumPy's."""
    return jax.tree.map(jnp.asarray, record)
