"""The mazes: one game in Gymnasium and in JAX, walls that hold, distances along shortest ways."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from paracosm import envs
from paracosm.core.checks import BadArgument
from paracosm.real import mazes
from paracosm.real.rendered import maze
from paracosm.real.rendered.maze import TWO_ROOMS, U_MAZE
from paracosm.real.verbs import connect

MAZES = {
    "two rooms": (envs.two_rooms, mazes.two_rooms, TWO_ROOMS),
    "u": (envs.u_maze, mazes.u_maze, U_MAZE),
}
TASKS = [TWO_ROOMS, U_MAZE]
each_maze = pytest.mark.parametrize(("hosted", "native", "task"), MAZES.values(), ids=MAZES)
each_task = pytest.mark.parametrize("task", TASKS, ids=MAZES)
draws = st.tuples(*[st.floats(0, 1, exclude_max=True, width=32)] * 3)
moves = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), max_size=20)


def placed(task, draw):
    return maze.place_in_boxes(task.free, np.float32(draw))


def inside(task, place, margin=0.0):
    """Whether the robot's centre is in a barrier or outside, by more than a margin."""
    left, bottom, right, top = task.maze.barriers.T
    x, y = place
    inner = (left + margin < x) & (x < right - margin) & (bottom + margin < y) & (y < top - margin)
    return inner.any() or abs(np.asarray(place)).max() > 0.9 + 1e-6


@each_maze
@pytest.mark.parametrize("options", [{}, {"colour": True}, {"dense": True}, {"pixels": False}])
def test_gymnasium_accepts_it(hosted, native, task, options):
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        check_env(hosted(**options).unwrapped, skip_render_check=True)


@each_maze
@pytest.mark.parametrize("dense", [False, True])
def test_both_versions_are_one_game(hosted, native, task, dense):
    env, system = hosted(colour=dense, dense=dense), native(dense=dense)
    picture = mazes.MazePicture(task, colour=dense)

    @jax.jit
    def step(state, action):
        after = system.dynamics(state, action, jax.random.key(0))
        outcome = system.reward(state, action, after), system.termination(state, action, after)
        return after, *outcome, picture(after)

    rng, ended = np.random.default_rng(0), 0
    for episode in range(12):
        start = placed(task, rng.random(3)) if episode % 2 else task.maze.goal - [0.4, 0.1]
        env.reset(seed=episode, options={"position": start})
        state, over = jnp.asarray(env.unwrapped.position), False
        while not over:
            action = rng.uniform(-1.2, 1.2, 2).astype(np.float32) + np.float32(0.3)
            shown, reward, terminated, truncated, _ = env.step(action)
            state, reward_too, ended_too, shown_too = step(state, action)
            np.testing.assert_allclose(state, env.unwrapped.position, atol=1e-5)
            np.testing.assert_allclose(reward_too, reward, atol=1e-5)
            assert bool(ended_too) == terminated
            # A level that is a half rounds either way.
            assert abs(shown_too.astype(int) - shown.ravel()).max() <= 1
            over = terminated or truncated
        ended += terminated
    assert 0 < ended < 12


@each_task
@given(draw=draws, moves=moves)
def test_no_move_ends_in_a_wall(task, draw, moves):
    place = placed(task, draw)
    assert not inside(task, place, 1e-6)
    for move in moves:
        after = maze.move(task.maze, place, np.float32(move))
        assert after.dtype == np.float32
        assert not inside(task, after, 1e-6)
        assert abs(after - place).max() <= maze.STEP + 1e-6
        place = after


def test_the_robot_slides_along_what_stops_it():
    place = np.float32([-0.25, 0.3])  # before the wall between the rooms
    after = maze.move(TWO_ROOMS.maze, place, np.float32([1, 1]))
    np.testing.assert_allclose(after, [-0.2, 0.4], atol=1e-6)
    np.testing.assert_allclose(
        maze.move(TWO_ROOMS.maze, after, np.float32([1, -0.5])), [-0.2, 0.35], atol=1e-6
    )
    corner = maze.move(U_MAZE.maze, np.float32([0.88, -0.87]), np.float32([1, -1]))
    np.testing.assert_allclose(corner, [0.9, -0.9], atol=1e-6)


def grid_distances(task, count=37):
    """Shortest ways to the goal on a grid with moves to eight neighbours, and its free places."""
    axis = np.linspace(-0.9, 0.9, count)
    places = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    numbers = {tuple(np.rint(place / 0.05).astype(int)): row for row, place in enumerate(places)}
    open_ = np.array([not inside(task, place, 1e-5) for place in places])
    rows, columns, lengths = [], [], []
    for (x, y), row in numbers.items():
        for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
            neighbour = numbers.get((x + dx, y + dy))
            between = None if neighbour is None else (places[row] + places[neighbour]) / 2
            if (
                neighbour is None
                or inside(task, between, 1e-5)
                or not (open_[row] and open_[neighbour])
            ):
                continue
            rows, columns = [*rows, row], [*columns, neighbour]
            lengths.append(0.05 * np.hypot(dx, dy))
    graph = coo_matrix((lengths, (rows, columns)), shape=(len(places), len(places))).tocsr()
    goal = numbers[tuple(np.rint(task.maze.goal / 0.05).astype(int))]
    return places[open_], dijkstra(graph, directed=False, indices=goal)[open_]


@each_task
def test_distances_are_those_of_another_search(task):
    """Moves to eight neighbours are at most 1/cos(22.5°) times as long as straight ones."""
    places, longer = grid_distances(task)
    distances = np.array([maze.distance(task.maze, place.astype(np.float32)) for place in places])
    assert np.isfinite(distances).all()
    assert (distances <= longer + 1e-3).all()
    assert (longer <= distances / np.cos(np.pi / 8) + 1e-3).all()
    straight = np.linalg.norm(places - task.maze.goal, axis=1)
    assert (distances >= straight - 1e-5).all()
    assert (distances > 1.3 * straight).mean() > 0.1  # there is something to go round


@each_task
def test_an_expert_needs_less_than_half_of_the_horizon(task):
    """It takes of 32 directions at full speed the one that leaves the shortest way to go."""
    angles = np.arange(32) * np.pi / 16
    actions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    corners = [box[[x, y]] for box in task.free for x in (0, 2) for y in (1, 3)]
    for start in corners:
        place, steps = start, 0
        while not maze.is_at_goal(task.maze, place):
            options = [maze.move(task.maze, place, action) for action in actions]
            place = min(options, key=lambda option: maze.distance(task.maze, option))
            steps += 1
            assert steps < task.horizon / 2


@each_maze
def test_rewards_and_ends(hosted, native, task):
    goal = task.maze.goal
    outcomes = []
    for options in ({}, {"dense": True}):
        env = hosted(pixels=False, **options)
        env.reset(seed=0, options={"position": goal - [0.3, 0]})
        outcomes += [env.step(np.float32([1, 0]))[1:3], env.step(np.float32([1, 0]))[1:3]]
    (first, second, dense_first, dense_second) = outcomes
    assert (first, second) == ((0.0, False), (1.0, True))
    assert dense_first == (pytest.approx(-0.2, abs=1e-5), False)
    assert dense_second == (pytest.approx(-0.1, abs=1e-5), True)


@each_maze
def test_episodes_start_where_they_should(hosted, native, task):
    for anywhere in (False, True):
        boxes = task.free if anywhere else task.far
        env = hosted(pixels=False, anywhere=anywhere)
        host = np.array([env.reset(seed=seed)[0] for seed in range(200)])
        keys = jax.random.split(jax.random.key(0), 200)
        system = np.asarray(jax.vmap(native(anywhere=anywhere).initial)(keys))
        for starts in (host, system):
            low, high = boxes[:, None, :2] - 1e-6, boxes[:, None, 2:] + 1e-6
            within = ((starts >= low) & (starts <= high)).all(axis=-1)
            assert within.any(axis=0).all()
            assert within.any(axis=1).all() or not anywhere  # every part of the floor
            np.testing.assert_allclose(
                np.ptp(starts, axis=0), boxes[:, 2:].max(0) - boxes[:, :2].min(0), atol=0.1
            )
        assert env.reset(seed=3)[0].tolist() == host[3].tolist()


@each_task
def test_the_derivative_of_the_distance_is_its_slope(task):
    system = mazes.two_rooms(dense=True) if task is TWO_ROOMS else mazes.u_maze(dense=True)
    slope = jax.jit(jax.grad(lambda place: system.reward(place, place, place)))
    for draw in np.random.default_rng(1).random((10, 3)):
        place = placed(task, draw)
        for axis in np.eye(2, dtype=np.float32):
            ahead, behind = (
                -maze.distance(task.maze, place + sign * 1e-2 * axis) for sign in (1, -1)
            )
            expected = (ahead - behind) / 2e-2
            assert float(slope(place) @ axis) == pytest.approx(float(expected), abs=0.05)


def test_a_cast_copy_plays_in_64_bits():
    with jax.enable_x64(True):
        system = jax.tree.map(
            lambda leaf: (
                leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
            ),
            mazes.u_maze(dense=True),
        )
        state = system.initial(jax.random.key(0))
        after = system.dynamics(state, jnp.ones(2), jax.random.key(0))
        assert state.dtype == after.dtype == system.reward(state, after, after).dtype == "float64"


def test_a_maze_is_a_source_of_positions_or_of_pictures():
    system = connect(mazes.two_rooms(anywhere=True))
    positions = system.collect(400, seed=0)
    assert not any(inside(TWO_ROOMS, place, 1e-6) for place in positions.next_state)
    hosted = connect("paracosm.envs:two_rooms", {"size": 24, "colour": True})
    assert (hosted.image, hosted.horizon) == ((24, 24, 3), 60)
    assert hosted.collect(60, seed=0).state.shape == (60, 24 * 24 * 3)
    with pytest.raises(BadArgument, match="size is 70"):
        envs.u_maze(size=70)
