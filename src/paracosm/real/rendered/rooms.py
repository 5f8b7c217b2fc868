"""The mazes of a point robot as Gymnasium environments."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from paracosm.real.rendered import maze
from paracosm.real.rendered.maze import TWO_ROOMS, U_MAZE, MazeTask, Scene


class PointMaze(gymnasium.Env):
    """A point robot that is to find a goal: see `paracosm.real.rendered.maze`.

    An action is the share of a full step along x and y, `[2]` in [-1, 1].
    """

    def __init__(self, task: MazeTask, scene: Scene | None, *, dense: bool, anywhere: bool) -> None:
        """Take a task.

        Args:
            task: The maze, and where episodes start.
            scene: How it is observed, the position if None.
            dense: Whether the reward is minus the distance to the goal.
            anywhere: Whether episodes start on all of the free floor.
        """
        self._maze, self._scene, self._dense = task.maze, scene, dense
        self._starts = task.free if anywhere else task.far
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.observation_space = (
            spaces.Box(-1, 1, (2,), np.float32)
            if scene is None
            else spaces.Box(0, 255, scene.background.shape, np.uint8)
        )
        self.position = np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Start an episode, at the `position` of `options` if there is one, `[2]`."""
        super().reset(seed=seed)
        start = maze.place_in_boxes(self._starts, self.np_random.random(3, np.float32))
        self.position = np.asarray((options or {}).get("position", start), np.float32)
        return self._observation(), {}

    def step(self, action: Any) -> Any:
        self.position = maze.move(self._maze, self.position, np.asarray(action, np.float32))
        at_goal = bool(maze.is_at_goal(self._maze, self.position))
        reward = -maze.distance(self._maze, self.position) if self._dense else at_goal
        return self._observation(), float(reward), at_goal, False, {}

    def _observation(self) -> np.ndarray:
        if self._scene is None:
            return self.position.copy()
        return maze.draw(self._scene, self.position)


def two_rooms(
    pixels: bool = True,
    size: int = 32,
    colour: bool = False,
    dense: bool = False,
    anywhere: bool = False,
) -> gymnasium.Env:
    """A point robot in the left of two rooms; the goal is in the right one, behind a door.

    Episodes end at the goal, or after 60 steps; the shortest way takes fewer than half as many.

    Args:
        pixels: Whether pictures `[size, size, channels]` are observed, or the position `[2]`.
        size: Height and width of a picture, 8 to 64.
        colour: Whether pictures have three channels, or one.
        dense: Whether the reward of a step is minus the distance from its end to the goal, along
            the shortest way, or 1 at the goal and 0 elsewhere.
        anywhere: Whether episodes start on all of the free floor, so that the steps of random
            actions cover it, or in the left room.

    Raises:
        BadArgument: a size that is not supported.
    """
    return _with_time_limit(
        TWO_ROOMS, size if pixels else None, colour, dense=dense, anywhere=anywhere
    )


def u_maze(
    pixels: bool = True,
    size: int = 32,
    colour: bool = False,
    dense: bool = False,
    anywhere: bool = False,
) -> gymnasium.Env:
    """A point robot below a wall that it has to go round; the goal is above it.

    Episodes end at the goal, or after 80 steps; the shortest way takes fewer than half as many.

    Args:
        pixels, size, colour, dense: As for `two_rooms`.
        anywhere: Whether episodes start on all of the free floor, or below the wall.

    Raises:
        BadArgument: a size that is not supported.
    """
    return _with_time_limit(
        U_MAZE, size if pixels else None, colour, dense=dense, anywhere=anywhere
    )


def _with_time_limit(
    task: MazeTask, size: int | None, colour: bool, *, dense: bool, anywhere: bool
) -> gymnasium.Env:
    """A maze with its time limit.

    Args:
        task: The maze, and where episodes start.
        size: Height and width of the pictures that are observed; None observes the position.
        colour, dense, anywhere: As for `two_rooms`.
    """
    scene = None if size is None else maze.scene(task.maze, size, colour=colour)
    env = PointMaze(task, scene, dense=dense, anywhere=anywhere)
    return gymnasium.wrappers.TimeLimit(env, task.horizon)
