"""Replay buffers of TorchRL and Stable-Baselines3: what was lived comes out, in whole episodes
where the buffer holds them.
"""

import importlib
import re

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from paracosm.adapters import dataset
from paracosm.core import checks

torch = pytest.importorskip("torch")
SIZE = 3


class Lived:
    """Steps of several environments side by side, each state another, in episodes of which every
    second is cut.
    """

    def __init__(self, environments, steps, seed=0, discrete=False):
        rng = np.random.default_rng(seed)
        shape = (steps, environments)
        self.state = rng.normal(size=(*shape, SIZE)).astype(np.float32)
        self.after = np.roll(self.state, -1, axis=0)
        self.action = rng.integers(0, 4, shape) if discrete else rng.uniform(-1, 1, (*shape, 2))
        self.reward = rng.normal(size=shape)
        lengths = 5 + np.arange(environments) % 3
        time = np.arange(steps)[:, None]
        self.done = time % lengths == lengths - 1
        self.cut = self.done & (time // lengths % 2 == 1)
        self.time = time % lengths
        ended = self.done.copy()
        ended[-1] = True
        self.after[ended] = rng.normal(size=(int(ended.sum()), SIZE))

    def rows(self, first=0):
        """Columns in the order of (environment, time), from step `first` on."""

        def flat(values):
            cut = np.swapaxes(values[first:], 0, 1)
            return cut.reshape(-1, *values.shape[2:])

        return {
            "state": flat(self.state),
            "action": flat(self.action),
            "next_state": flat(self.after),
            "reward": flat(self.reward),
            "terminated": flat(self.done & ~self.cut),
        }


def assert_lived(data, lived, first=0):
    expected = lived.rows(first)
    assert set(map(bytes, data.state)) == set(map(bytes, expected["state"]))
    order = np.lexsort(expected["state"].T)
    data_order = np.lexsort(data.state.T)
    for name, values in expected.items():
        np.testing.assert_allclose(
            getattr(data, name)[data_order], values[order], rtol=1e-6, atol=1e-6
        )


def begun(data):
    """First states that are said to start episodes."""
    return {bytes(state) for state in data.initial}


def first_states(lived, first=0):
    """States at which episodes did start, from step `first` on."""
    chosen = (lived.time == 0) & (np.arange(len(lived.time)) >= first)[:, None]
    return {bytes(state) for state in lived.state[chosen]}


def sb3_buffer(lived, size, **options):
    library = importlib.import_module("stable_baselines3.common.buffers")
    discrete = lived.action.ndim == 2
    action = spaces.Discrete(4) if discrete else spaces.Box(-2, 4, (2,), np.float32)
    environments = lived.state.shape[1]
    buffer = library.ReplayBuffer(
        size * environments,
        spaces.Box(-9, 9, (SIZE,), np.float32),
        action,
        "cpu",
        n_envs=environments,
        **options,
    )
    for t in range(len(lived.state)):
        infos = [{"TimeLimit.truncated": bool(cut)} for cut in lived.cut[t]]
        step = lived.state[t], lived.after[t], lived.action[t], lived.reward[t], lived.done[t]
        buffer.add(*step, infos)
    return buffer


@pytest.mark.parametrize("discrete", [False, True])
def test_a_buffer_of_stable_baselines3_gives_what_was_lived(discrete):
    lived = Lived(3, 20, discrete=discrete)
    data = dataset(sb3_buffer(lived, 30), scaled_actions=False)
    assert_lived(data, lived)
    assert begun(data) == first_states(lived)
    assert (data.terminated | data.truncated).sum() == len(np.unique(data.episode))


@pytest.mark.parametrize("more", [1, 3, 17, 30, 41])
def test_a_ring_that_has_turned_gives_the_newest_steps_in_their_order(more):
    lived = Lived(2, 30 + more)
    data = dataset(sb3_buffer(lived, 30), scaled_actions=False)
    assert_lived(data, lived, first=more)
    # An episode that starts at the oldest row is not known to: what was before is overwritten.
    assert begun(data) == first_states(lived, first=more + 1)


def test_scaled_actions_are_brought_to_the_bounds_of_the_space():
    lived = Lived(2, 12)
    data = dataset(sb3_buffer(lived, 30))
    expected = -2 + 3 * (lived.rows()["action"] + 1)
    np.testing.assert_allclose(data.action, expected, rtol=1e-5, atol=1e-5)
    lived.action[3, 1, 0] = 3.5
    with pytest.raises(checks.BadData, match=r"the action 3\.5; scaled actions lie in \[-1, 1\]"):
        dataset(sb3_buffer(lived, 30))


def test_an_algorithm_of_stable_baselines3_gives_its_environments_actions():
    library = importlib.import_module("stable_baselines3")
    model = library.SAC("MlpPolicy", "Pendulum-v1", seed=0, device="cpu", learning_starts=250)
    model.learn(230)
    data = dataset(model.replay_buffer)
    assert data.real_steps == 230
    np.testing.assert_array_equal(np.flatnonzero(data.truncated), [199, 229])
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    for row in (0, 57, 199, 210):
        env.state = np.array([np.arctan2(*data.state[row, 1::-1]), data.state[row, 2]], float)
        after, reward, *_ = env.step(data.action[row])
        np.testing.assert_allclose(after, data.next_state[row], atol=1e-5)
        np.testing.assert_allclose(reward, data.reward[row], rtol=1e-4, atol=1e-5)
    with pytest.raises(checks.Unsupported, match="SAC, which has one: give its replay_buffer"):
        dataset(model)


@pytest.mark.parametrize("more", [0, 7])
def test_a_buffer_that_keeps_each_observation_once_loses_the_ends_of_episodes(more):
    lived = Lived(2, 20 + more)
    options = {"optimize_memory_usage": True, "handle_timeout_termination": False}
    with (
        pytest.warns(UserWarning, match="time limits are recorded in it as terminations"),
        pytest.warns(
            UserWarning, match="terminations are not read, because optimize_mem"
        ) as warnings,
    ):
        data = dataset(sb3_buffer(lived, 20, **options), scaled_actions=False)
    lost = int(next(filter(None, (re.search(r"(\d+) term", str(w.message)) for w in warnings)))[1])
    assert lost + data.terminated.sum() == lived.done[-20:].sum()
    held = ~lived.done
    held[-1] = True
    held[: more + 1] = False  # overwritten, the last of them by the newest next observation
    assert set(map(bytes, data.state)) == set(map(bytes, lived.state[held]))
    where = {
        bytes(state): after
        for state, after in zip(lived.state[held], lived.after[held], strict=True)
    }
    for state, after in zip(data.state, data.next_state, strict=True):
        np.testing.assert_array_equal(where[bytes(state)], after)


def test_scaled_actions_of_several_axes_are_brought_into_their_box():
    library = importlib.import_module("stable_baselines3.common.buffers")
    low = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    state, action = spaces.Box(-1, 1, (2,), np.float32), spaces.Box(low, low + 4, dtype=np.float32)
    buffer = library.ReplayBuffer(12, state, action, "cpu", handle_timeout_termination=False)
    for t in range(10):
        here = np.full((1, 2), t / 10, np.float32)
        buffer.add(here, here + 0.1, np.full((1, 2, 2), 0.5), np.ones(1), [t == 9], [{}])
    with pytest.warns(UserWarning, match="time limits are recorded in it as terminations"):
        data = dataset(buffer)
    np.testing.assert_allclose(data.action, np.tile(low.reshape(-1) + 3, (10, 1)))


def test_buffers_of_stable_baselines3_that_cannot_be_used_are_refused():
    library = importlib.import_module("stable_baselines3.common.buffers")
    box = spaces.Box(-1, 1, (2,), np.float32)
    dictionary = spaces.Dict({"pos": box, "goal": box})
    picture = spaces.Box(0, 255, (3, 8, 8), np.uint8)
    multi_discrete = spaces.MultiDiscrete([2, 3])
    with pytest.raises(checks.Unsupported, match=r"dictionaries of observations \(goal, pos\); .*"):
        dataset(library.DictReplayBuffer(9, dictionary, box, "cpu"))
    with pytest.raises(checks.Unsupported, match="a RolloutBuffer, which keeps no next obs"):
        dataset(library.RolloutBuffer(9, box, box, "cpu"))
    with pytest.raises(checks.Unsupported, match=r"observations of the shape \(3, 8, 8\)"):
        dataset(library.ReplayBuffer(9, picture, box, "cpu"))
    with pytest.raises(checks.BadData, match="is empty; at least one step"):
        dataset(library.ReplayBuffer(9, box, box, "cpu"))
    buffer = library.ReplayBuffer(9, box, multi_discrete, "cpu")
    zeros = np.zeros((1, 2))
    buffer.add(zeros, zeros, zeros, np.zeros(1), np.zeros(1), [{}])
    with pytest.raises(checks.Unsupported, match=r"actions of MultiDiscrete\(\[2 3\]\); those"):
        dataset(buffer)


def tensordict(lived, one_hot=False, leave_out=(), batch=None):
    """The steps as TorchRL keeps them, `[environment, time]`."""
    library = importlib.import_module("tensordict")
    columns = {
        "observation": lived.state,
        "action": np.eye(4, dtype=np.int64)[lived.action] if one_hot else lived.action,
        ("next", "observation"): lived.after,
        ("next", "reward"): lived.reward[..., None],
        ("next", "done"): lived.done[..., None],
        ("next", "terminated"): (lived.done & ~lived.cut)[..., None],
        ("next", "truncated"): lived.cut[..., None],
        ("collector", "traj_ids"): trajectories(lived),
    }
    steps = library.TensorDict({}, batch_size=lived.done.T.shape)
    for key in columns.keys() - set(leave_out):
        steps[key] = torch.as_tensor(np.swapaxes(columns[key], 0, 1).copy())
    return steps


def trajectories(lived):
    """Their numbers, which grow with each reset, in turn over environments."""
    count, environments = lived.done.shape
    number = np.zeros((count, environments), np.int64)
    current, following = np.arange(environments), environments
    for t in range(count):
        number[t] = current
        for e in np.flatnonzero(lived.done[t]):
            current[e] = following
            following += 1
    return number


TRAJECTORIES = ("collector", "traj_ids")


@pytest.mark.parametrize("leave_out", [(), (TRAJECTORIES,)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_tensordict_is_read_along_the_axis_that_is_time(leave_out, turned):
    lived = Lived(3, 20)
    steps = tensordict(lived, leave_out=leave_out)
    data = dataset(steps.transpose(0, 1) if turned else steps)
    assert_lived(data, lived)
    assert begun(data) == first_states(lived)


@pytest.mark.parametrize("one_hot", [False, True])
def test_discrete_actions_are_numbers_or_their_one_hot_code(one_hot):
    lived = Lived(2, 12, discrete=True)
    data = dataset(tensordict(lived, one_hot=one_hot))
    assert data.action.dtype == np.int32
    assert_lived(data, lived)


@pytest.mark.parametrize("kind", ["LazyTensorStorage", "LazyMemmapStorage", "ListStorage"])
@pytest.mark.parametrize("more", [0, 10])
def test_a_buffer_of_torchrl_that_is_filled_in_batches_gives_what_was_lived(kind, more):
    library = importlib.import_module("torchrl.data")
    lived, batch = Lived(2, 40 + more), 10
    buffer = library.ReplayBuffer(storage=getattr(library, kind)(80))
    steps = tensordict(lived)
    for t in range(0, 40 + more, batch):
        buffer.extend(steps[:, t : t + batch].reshape(-1))
    data = dataset(buffer)
    assert_lived(data, lived, first=more)
    if not more:
        assert begun(data) == first_states(lived)
    # What is not surely a start is none: episodes that were begun before the oldest step.
    assert first_states(lived, first=more + 2 * batch) <= begun(data)
    assert begun(data) <= first_states(lived, first=more)


@pytest.mark.parametrize("more", [0, 10, 25])
def test_a_storage_of_two_axes_is_a_ring_of_time(more):
    library = importlib.import_module("torchrl.data")
    lived = Lived(2, 40 + more)
    buffer = library.TensorDictReplayBuffer(storage=library.LazyTensorStorage(80, ndim=2))
    steps = tensordict(lived, leave_out=(TRAJECTORIES,))
    for t in range(0, 40 + more, 5):
        buffer.extend(steps[:, t : t + 5])
    data = dataset(buffer)
    assert_lived(data, lived, first=more)
    assert begun(data) == first_states(lived, first=more + (more > 0))


@pytest.mark.filterwarnings("ignore:Creating .* is deprecated:DeprecationWarning")  # TorchRL's own
def test_a_collector_of_torchrl_fills_a_buffer_that_is_read_as_the_environment_was():
    envs = importlib.import_module("torchrl.envs")
    collectors = importlib.import_module("torchrl.collectors")
    library = importlib.import_module("torchrl.data")
    kind = getattr(collectors, "Collector", None) or collectors.SyncDataCollector
    collector = kind(
        envs.SerialEnv(2, lambda: envs.GymEnv("CartPole-v1")),
        None,
        frames_per_batch=60,
        total_frames=180,
    )
    buffer = library.ReplayBuffer(storage=library.LazyTensorStorage(500))
    for batch in collector:
        buffer.extend(batch.reshape(-1))
    collector.shutdown()
    data = dataset(buffer)
    assert data.real_steps == 180
    assert data.terminated.sum() >= 3
    assert (np.abs(data.initial) <= 0.05).all()
    assert len(data.initial) == len(np.unique(data.episode))
    outside = (np.abs(data.next_state[:, 2]) > 0.2095) | (np.abs(data.next_state[:, 0]) > 2.4)
    np.testing.assert_array_equal(data.terminated, outside)
    assert set(np.unique(data.action)) == {0, 1}


def test_what_torchrl_keeps_and_cannot_be_used_is_refused():
    library = importlib.import_module("torchrl.data")
    lived = Lived(2, 12)
    with pytest.raises(checks.BadData, match=r"has no next\.reward; its columns are .*observation"):
        dataset(tensordict(lived, leave_out=[("next", "reward")]))
    pictures = tensordict(lived)
    pictures["observation"] = torch.zeros(2, 12, 4, 4)
    with pytest.raises(checks.Unsupported, match=r"observation of the shape \(4, 4\); one vector"):
        dataset(pictures)
    multi_discrete = tensordict(lived)
    multi_discrete["action"] = torch.full((2, 12, 2), 3)
    with pytest.raises(checks.Unsupported, match="2 whole numbers an action"):
        dataset(multi_discrete)
    with pytest.raises(checks.BadData, match="is empty"):
        dataset(library.ReplayBuffer(storage=library.LazyTensorStorage(9)))
    told = dataset(tensordict(lived, leave_out=[("next", "terminated")]))
    assert told.terminated.sum() == dataset(tensordict(lived)).terminated.sum() > 0
    unknown = [("next", "terminated"), ("next", "truncated")]
    with pytest.warns(UserWarning, match="its ends are read as cuts"):
        data = dataset(tensordict(lived, leave_out=unknown))
    assert not data.terminated.any()
    assert data.truncated.sum() == len(np.unique(data.episode))
    with pytest.raises(checks.Unsupported, match="a replay buffer of TorchRL or of Stable"):
        dataset(3)
