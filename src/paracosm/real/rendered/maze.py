"""Mazes of a point robot, by one code for NumPy and for JAX, so that both play the same maze.

The floor is the square from -1 to 1. The robot is as wide and high as `2 ROBOT`: its centre stays
that far from every wall. In a step it moves by `STEP` times its action, first along x and then
along y, and slides along what stands in its way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from paracosm.real.rendered import drawing
from paracosm.real.rendered.drawing import AnyArray, Grid, namespace

ROBOT = 0.1  # half its width
STEP = 0.1  # largest move along an axis: thinner than any wall, though none could be jumped
GOAL_RADIUS = 0.15  # distance to the goal at which an episode ends
_REACH = 1 - ROBOT  # how far out the robot's centre can be
_GRAZE = 1e-3  # a line of sight may pass so far inside a wall: along its face it touches
_TINY = 1e-9
# Colours of the floor, walls, goal and robot: grey; and red, green and blue.
_GREYS = ((0.0,), (0.5,), (0.25,), (1.0,))
_COLOURS = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.0, 0.8, 0.0), (1.0, 0.4, 0.2))


class Maze(NamedTuple):
    """Where walls and goal are; boxes are rows `(left, bottom, right, top)`.

    Attributes:
        walls: as they are drawn, `[wall, 4]`.
        barriers: walls made wider by `ROBOT`, which the robot's centre cannot enter, `[wall, 4]`.
        goal: `[2]`.
        nodes: the goal, and the corners of barriers, at which shortest ways turn, `[node, 2]`.
        distances: from each node to the goal, along the shortest way, `[node]`.
    """

    walls: AnyArray
    barriers: AnyArray
    goal: AnyArray
    nodes: AnyArray
    distances: AnyArray


class MazeTask(NamedTuple):
    """A maze, and where and for how long an episode is played in it.

    Attributes:
        maze: the maze.
        far: where episodes start, behind the wall, boxes `[box, 4]` of the robot's centre.
        free: all of the free floor, as such boxes.
        horizon: steps in a full episode, over twice what the shortest way takes from anywhere.
    """

    maze: Maze
    far: AnyArray
    free: AnyArray
    horizon: int


def _build(walls: list[tuple[float, ...]], goal: tuple[float, float]) -> Maze:
    """The maze of these walls, with the distances of its nodes."""
    boxes, place = np.array(walls, np.float32), np.array(goal, np.float32)
    barriers = boxes + np.array([-ROBOT, -ROBOT, ROBOT, ROBOT], np.float32)
    corners = barriers[:, [0, 1, 0, 3, 2, 1, 2, 3]].reshape(-1, 2)
    nodes = np.stack([place, *(corner for corner in corners if (abs(corner) <= _REACH).all())])
    unknown = np.append(np.float32(0), np.full(len(nodes) - 1, np.inf, np.float32))
    maze = Maze(walls=boxes, barriers=barriers, goal=place, nodes=nodes, distances=unknown)
    for _ in nodes:  # the shortest way turns at each node once at most
        maze = maze._replace(distances=np.array([distance(maze, node) for node in nodes]))
    return maze


def move(maze: Maze, position: AnyArray, action: AnyArray) -> AnyArray:
    """Where the robot is after a step, `[2]`.

    Args:
        maze: The maze.
        position: Where its centre is, `[2]`.
        action: The share of a full step that it is to go along x and y, `[2]`; cut to [-1, 1].
    """
    xp = namespace(position)
    left, bottom, right, top = maze.barriers.T
    wanted = position + STEP * xp.clip(action, -1, 1)
    beside = (bottom < position[1]) & (position[1] < top)
    x = _blocked_move((left, right), beside, position[0], wanted[0])
    beside = (left < x) & (x < right)
    y = _blocked_move((bottom, top), beside, position[1], wanted[1])
    return xp.stack([x, y])


def _blocked_move(
    faces: tuple[AnyArray, AnyArray], beside: AnyArray, start: AnyArray, end: AnyArray
) -> AnyArray:
    """Where a move along one axis ends, which barriers may stop.

    Args:
        faces: The lower and the upper face of each barrier across the axis, `[wall]` each.
        beside: Which barriers stand in the way, `[wall]`.
        start, end: Where the move begins, and where it would end without barriers.
    """
    low, high = faces
    xp = namespace(low)
    above = xp.where(beside & (low >= start), low, _REACH).min()
    below = xp.where(beside & (high <= start), high, -_REACH).max()
    return xp.clip(end, below, above)


def is_at_goal(maze: Maze, position: AnyArray) -> AnyArray:
    """Whether the robot is at the goal."""
    return ((position - maze.goal) ** 2).sum() <= GOAL_RADIUS**2


def distance(maze: Maze, position: AnyArray) -> AnyArray:
    """Length of the shortest way of the robot's centre to the goal.

    It goes straight to a node in sight and on from there: the smallest sum of both.
    """
    xp = namespace(position)
    way = maze.nodes - position
    way = xp.where(abs(way) < _TINY, _TINY, way)  # divided by below
    low = (maze.barriers[:, :2] + _GRAZE - position) / way[:, None]
    high = (maze.barriers[:, 2:] - _GRAZE - position) / way[:, None]
    enters, leaves = xp.minimum(low, high).max(axis=-1), xp.maximum(low, high).min(axis=-1)
    hidden = ((enters < leaves) & (leaves > 0) & (enters < 1)).any(axis=-1)
    straight = xp.sqrt((way**2).sum(axis=-1))
    return xp.where(hidden, xp.inf, straight + maze.distances).min()


def place_in_boxes(boxes: AnyArray, draws: AnyArray) -> AnyArray:
    """A place `[2]` in boxes `[box, 4]`; uniform if `draws` `[3]` are uniform in [0, 1)."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    shares = sizes.prod(axis=1).cumsum()
    box = (draws[0] * shares[-1] >= shares[:-1]).sum()
    return boxes[box, :2] + draws[1:] * sizes[box]


class Scene(NamedTuple):
    """A maze as it is drawn without the robot, and the robot's colour.

    `background` is `[size, size, channels]` and `robot` `[channels]`, in [0, 1].
    """

    pixels: Grid
    background: AnyArray
    robot: AnyArray


def scene(maze: Maze, size: int, *, colour: bool) -> Scene:
    """The scene of a maze, `size` pixels high and wide, of three channels in `colour`, else one.

    Raises:
        BadArgument: a size that is not supported.
    """
    pixels = drawing.grid(drawing.SIZES.check("size", size))
    floor, wall, goal, robot = np.array(_COLOURS if colour else _GREYS, np.float32)
    picture = np.broadcast_to(floor, (size, size, len(floor)))
    picture = _paint(picture, drawing.disc(pixels, maze.goal, GOAL_RADIUS), goal)
    for box in maze.walls:
        picture = _paint(picture, drawing.block(pixels, box), wall)
    return Scene(pixels=pixels, background=picture, robot=robot)


def draw(scene: Scene, position: AnyArray) -> AnyArray:
    """The picture with the robot at a place, uint8 `[size, size, channels]`."""
    distances = drawing.disc(scene.pixels, position, ROBOT)
    return drawing.as_bytes(_paint(scene.background, distances, scene.robot))


def _paint(picture: AnyArray, distances: AnyArray, colour: AnyArray) -> AnyArray:
    """The picture with a shape in this colour, of which each pixel has the given distance."""
    share = drawing.coverage(distances)[..., None]
    return picture + share * (colour - picture)


def _boxes(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(boxes, np.float32)


# A wall with a door below its middle, and the goal in the far corner of the other room.
TWO_ROOMS = MazeTask(
    _build([(-0.1, -1.1, 0.1, -0.6), (-0.1, -0.1, 0.1, 1.1)], (0.6, 0.6)),
    far=_boxes((-0.9, -0.9, -0.2, 0.9)),
    free=_boxes((-0.9, -0.9, -0.2, 0.9), (0.2, -0.9, 0.9, 0.9), (-0.2, -0.5, 0.2, -0.2)),
    horizon=60,
)
# A wall from the left, with start and goal on its two sides.
U_MAZE = MazeTask(
    _build([(-1.1, -0.15, 0.4, 0.15)], (-0.6, 0.6)),
    far=_boxes((-0.9, -0.9, 0.5, -0.25)),
    free=_boxes((-0.9, -0.9, 0.9, -0.25), (-0.9, 0.25, 0.9, 0.9), (0.5, -0.25, 0.9, 0.25)),
    horizon=80,
)
