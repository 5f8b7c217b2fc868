"""Worlds and policies of foreign functions: conventions, joint steps, ends, and what is refused in
which words.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from paracosm import adapters as foreign
from paracosm.core import callbacks, checks
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import Deterministic, modes
from paracosm.core.rollout import rollout
from paracosm.real.systems import pendulum

SPEC = Spec(2, Box(jnp.array([-1.0]), jnp.array([2.0])), jnp.array([1.0, 4.0]), 6)
SWITCHED = Spec(2, Discrete(3), jnp.ones(2), 6)
KEY = jax.random.key(0)
S, A, N = np.array([0.3, -1.2]), np.array([0.5]), np.array([2.0, 0.1])


def still(s, a):
    return s


def zero(s, a, n):
    return np.zeros(len(s))


def world(spec=SPEC, **parts):
    return foreign.world(
        spec, **({} if "step" in parts else {"dynamics": still, "reward": zero}) | parts
    )


def reward_at(model):
    with jax.enable_x64(True), callbacks.as_raised():
        return float(jax.jit(model.reward)(*map(jnp.asarray, (S, A, N))))


@pytest.mark.parametrize(
    ("of", "function", "expected"),
    [
        ("s,a", lambda s, a: s[:, 0] * 10 + a[:, 0], 3.5),
        ("s,a,s'", lambda s, a, n: s[:, 0] * 100 + a[:, 0] * 10 + n[:, 0], 37.0),
        ("s'", lambda n: n.sum(1, keepdims=True), 2.1),
        ("a,s'", lambda a, n: a[:, 0] - n[:, 0], -1.5),
    ],
)
def test_rewards_get_the_arguments_that_are_declared(of, function, expected):
    assert reward_at(world(reward=function, reward_of=of)) == pytest.approx(expected, rel=1e-12)
    inputs = []

    def tensors(*arguments):
        inputs.extend(arguments)
        return function(*(argument.numpy() for argument in arguments))

    assert reward_at(world(reward=tensors, reward_of=of, functions="torch")) == pytest.approx(
        expected, rel=1e-6
    )
    assert all(torch.is_tensor(argument) for argument in inputs)


@pytest.mark.parametrize(
    ("ends", "expected"), [(0.0, False), (1.0, True), (-2.0, False), (True, True), (False, False)]
)
def test_ends_are_flags_or_logits(ends, expected):
    model = world(termination=lambda n: np.full(len(n), ends), termination_of="s'")
    assert bool(model.termination(S, A, N)) is expected


def test_without_an_end_rule_nothing_ends():
    assert not world().termination(S, A, N)


def joint(calls=None, ends=True):
    def step(s, a):
        if calls is not None:
            calls.append(len(s))
        return (s * 0.9 + a, s[:, 0] + a[:, 0], np.abs(s[:, 0]) > 1)[: 2 + ends]

    return step


def by_hand(start, horizon):
    states, rewards, state, alive = [], [], start, True
    for _ in range(horizon):
        rewards.append((state[0] + 0.5) * alive)
        ended = abs(state[0]) > 1
        state = state * 0.9 + 0.5 if alive else state
        states.append(state)
        alive = alive and not ended
    return np.array(states), np.array(rewards)


def half(s):
    return jnp.full(1, 0.5, s.dtype)


def test_a_joint_step_is_asked_once_where_its_parts_are_asked_the_same():
    calls = []
    model = world(step=joint(calls), step_gives="s',r,ended")
    model.dynamics.host.row_independence.tries = 0
    start, keys = np.array([[0.1, 0.2], [-0.7, 1.0]]), jax.random.split(jax.random.key(0), 2)
    with jax.enable_x64(True):
        imagined = rollout(model, Deterministic(half), jnp.asarray(start), keys, 6)
    assert calls == [2] * 6
    for episode, first in enumerate(start):
        states, rewards = by_hand(first, 6)
        np.testing.assert_allclose(imagined.next_state[episode], states, rtol=1e-12)
        np.testing.assert_allclose(imagined.reward[episode], rewards, rtol=1e-12)


def test_parts_beside_a_joint_step_come_before_its_own():
    model = world(
        step=joint(ends=False),
        termination=lambda a, n: n[:, 0] > 1,
        termination_of="a,s'",
        reward=zero,
    )
    assert reward_at(model) == 0
    assert model.termination(S, A, N)
    np.testing.assert_allclose(model.dynamics(S, A, KEY), S * 0.9 + 0.5, rtol=1e-6)


def test_discrete_actions_arrive_as_whole_numbers_and_have_no_derivative():
    action_forms = []

    def dynamics(s, a):
        action_forms.append((a.dtype, a.ndim))
        return s * np.array([1.0, 2.0, 3.0])[a][:, None]

    model = world(SWITCHED, dynamics=dynamics)
    states, actions = jnp.ones((3, 2)), jnp.array([0, 2, 1])
    next_states = jax.vmap(model.dynamics, (0, 0, None))(states, actions, KEY)
    np.testing.assert_allclose(next_states[:, 0], [1, 3, 2])
    assert set(action_forms) == {(np.dtype(np.int64), 1)}
    slope = jax.vmap(jax.jacfwd(lambda s, a: model.dynamics(s, a, KEY)))(states, actions)
    np.testing.assert_allclose(slope, np.eye(2) * np.array([1, 3, 2])[:, None, None], atol=1e-5)

    class Switch(torch.nn.Module):
        def forward(self, s, a):
            return s * torch.tensor([1.0, 2.0, 3.0])[a][:, None]

    copy = world(SWITCHED, dynamics=Switch())
    np.testing.assert_allclose(
        jax.vmap(copy.dynamics, (0, 0, None))(states, actions, KEY), next_states
    )


def test_a_module_is_taken_as_it_is_when_the_world_is_made():
    net = torch.nn.Linear(2, 2).double()
    dropped = torch.nn.Sequential(net, torch.nn.Dropout(0.5))
    expected = net(torch.tensor(S)).detach().numpy()
    policy_net = foreign.policy(dropped, Spec(2, Box(-jnp.ones(2), jnp.ones(2)), jnp.ones(2), 5))
    with torch.no_grad():
        net.weight.zero_()
    with jax.enable_x64(True):
        np.testing.assert_allclose(modes(policy_net, jnp.asarray(S)[None])[0], expected, rtol=1e-12)
    assert dropped.training
    assert policy_net(S).dtype == np.float32


def ask_dynamics(model):
    with callbacks.as_raised():
        jax.block_until_ready(
            jax.jit(jax.vmap(model.dynamics, (0, 0, None)))(
                np.stack([S] * 3), np.stack([A] * 3), KEY
            )
        )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda s, a: s[:, :1],
            r"NumPy dynamics gives the shape \(3, 1\) for the next state of a batch of 3; \(3, 2",
        ),
        (lambda s, a: s[0], r"gives the shape \(2,\) for the next state of a batch of 3"),
        (lambda s, a: (s, a), "gives 2 results; 1 .next state. are needed"),
        (
            lambda s, a: np.log(-np.abs(s)),
            r"NumPy dynamics gives nan at s = \[0.3, -1.2\], a = \[0.5\]",
        ),
        (
            lambda s, a: np.random.default_rng().normal(size=s.shape),
            "answers the same question twice",
        ),
        (lambda s, a: s @ np.ones((3, 2)), "NumPy dynamics failed with ValueError: matmul"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_function_that_does_not_fit_is_named(function, message):
    with pytest.raises(checks.ParacosmError, match=message) as raised:
        ask_dynamics(world(dynamics=function))
    assert "\n" not in str(raised.value)


def test_torch_says_its_own_words():
    net = torch.nn.Sequential(torch.nn.Linear(7, 2))
    with pytest.raises(
        checks.BadData, match="PyTorch dynamics failed with RuntimeError: mat1 and mat2"
    ) as raised:
        ask_dynamics(world(dynamics=lambda s, a: net(s), functions="torch"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"reward": None}, "has no reward; give reward="),
        ({"dynamics": None}, "has no dynamics; give dynamics="),
        ({"reward_of": "s,b"}, "'b'; s, a and s' are"),
        ({"functions": "tensorflow"}, "functions is 'tensorflow'"),
        ({"step": joint(), "step_gives": "r,s'"}, "step_gives is"),
    ],
)
def test_bad_declarations(parts, message):
    with pytest.raises(checks.BadArgument, match=message):
        world(**parts)


class Takes(torch.nn.Module):
    """A module of one batch."""

    def forward(self, s):
        return s


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"reward": zero, "reward_of": "s,a"},
            r"the reward takes 3 arguments \(s, a, n\) and is called with 2 \(s, a\), as reward_of"
            " says.",
        ),
        (
            {"reward": lambda s, a: s[:, 0]},
            r"the reward takes 2 arguments \(s, a\) and is called with 3 \(s, a, s'\), as reward_of"
            " says.",
        ),
        (
            {"termination": lambda n, limit=3, *, strict=True: n[:, 0] > limit},
            r"the termination takes 1 to 2 arguments \(n, limit, strict\) and is called"
            r" with 3 \(s, a, s'\), as termination_of says.",
        ),
        (
            {"dynamics": lambda s, a, *, table: s},
            r"the dynamics takes 2 arguments \(s, a, table\), of which table must be given by name,"
            r" and is called with 2 \(s, a\).",
        ),
        (
            {"dynamics": Takes()},
            r"the dynamics takes 1 argument \(s\) and is called with 2 \(s, a\).",
        ),
        (
            {"step": lambda s, a, t, *more: (s, s[:, 0])},
            r"the step takes at least 3 arguments \(s, a, t, \*more\) and is called with 2"
            r" \(s, a\).",
        ),
    ],
)
def test_a_function_of_another_number_of_arguments_is_refused_when_it_is_given(parts, message):
    with pytest.raises(checks.BadArgument, match=f"^{message}$"):
        world(**parts)
    with pytest.raises(checks.BadArgument, match=r"^the policy takes 2 arguments \(s, a\) and is"):
        foreign.policy(lambda s, a: a, SPEC)


def test_what_passes_its_arguments_on_is_asked():
    """What a decorator or a partial takes is known to no one before it is called."""
    reward_of_two = torch.no_grad()(lambda s, a: s[:, 0] + a[:, 0])
    built = world(reward=reward_of_two, reward_of="s,a", functions="torch")
    assert reward_at(built) == pytest.approx(0.8, rel=1e-6)
    assert reward_at(world(reward=np.vectorize(lambda s, a, n: 2.0, signature="(n),(m),(n)->()")))
    assert foreign.policy(np.negative, SPEC)


def test_what_is_no_function_is_no_policy():
    with pytest.raises(checks.BadArgument, match="the policy is a int; a module or a function"):
        foreign.policy(3, SPEC)


def test_a_world_without_starts_says_so():
    with pytest.raises(checks.BadArgument, match=r"paracosm\.foreign\.world\(…, initial=…\) or"):
        world().initial(jax.random.key(0))


def test_policies_of_functions_and_modules_act_alike():
    weights = np.array([[1.0], [-2.0]])
    states = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    linear = torch.nn.Linear(2, 1, bias=False)
    linear.weight.data = torch.tensor(weights.T, dtype=torch.float32)
    plain, module = foreign.policy(lambda s: s @ weights, SPEC), foreign.policy(linear, SPEC)
    for policy in (plain, module):
        np.testing.assert_allclose(modes(policy, states), states @ weights, rtol=1e-5)
        np.testing.assert_allclose(jax.jacrev(policy.mode)(states[0]), weights.T, rtol=1e-4)
    assert (plain.derivatives, module.derivatives) == ("finite differences", "torch autograd")
    assert foreign.policy(plain, SPEC) is plain


def test_a_discrete_policy_gives_whole_numbers():
    policy = foreign.policy(lambda s: (s[:, 0] > 0) * 2, SWITCHED)
    assert policy(np.array([[1.0, 0], [-1.0, 0]])).tolist() == [2, 0]
    assert modes(policy, np.ones((1, 2), np.float32)).dtype == jnp.int32


def test_a_policy_that_draws_is_refused():
    drawing = foreign.policy(lambda s: np.random.default_rng().normal(size=(len(s), 1)), SPEC)
    with (
        pytest.raises(checks.BadArgument, match=r"NumPy policy answers .* twice .* deterministic"),
        callbacks.as_raised(),
    ):
        jax.block_until_ready(modes(drawing, np.ones((4, 2), np.float32)))


def test_the_spec_of_recorded_steps():
    system = pendulum()
    keys = jax.random.split(jax.random.key(0), 4)
    policy = Deterministic(lambda s: s[2:] / 8)
    episodes = rollout(system, policy, jax.vmap(system.initial)(keys), keys, 30)
    spec = foreign.spec(episodes)
    np.testing.assert_allclose(
        spec.state_scale, np.asarray(episodes.state).reshape(-1, 3).std(axis=0), rtol=1e-5
    )
    assert (spec.state_size, spec.horizon) == (3, 30)
    assert spec.action.high == np.asarray(episodes.action).max()
    assert foreign.spec(episodes, action=system.spec.action, horizon=9).horizon == 9


@pytest.mark.parametrize(
    ("size", "action", "message"),
    [
        (3, jnp.ones(1), r"s of shape \(3,\); \(2,\) is needed, as in the spec"),
        (2, jnp.ones(2), r"a of shape \(2,\); \(1,\) is needed"),
    ],
)
def test_a_world_of_another_spec_is_refused_and_not_cut(size, action, message):
    world = foreign.world(
        Spec(2, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(2), 5),
        dynamics=lambda s, a: s + a,
        reward=lambda s, a, n: a[:, 0],
    )
    with pytest.raises(checks.BadData, match=message):
        world.reward(jnp.ones(size), action, jnp.ones(size))


def test_a_world_and_a_policy_of_whole_numbers_answer_in_floats():
    spec = Spec(2, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(2), 5)
    world = foreign.world(
        spec, dynamics=lambda s, a: s + 0.5 * a, reward=lambda s, a, n: a[:, 0] + n[:, 0]
    )
    policy = foreign.policy(lambda s: s[:, :1] / 400, spec)
    state, action = jnp.array([200, 0], jnp.uint8), jnp.array([0.5])
    np.testing.assert_array_equal(
        world.dynamics(state, action, jax.random.key(0)), np.float32([200.25, 0.25])
    )
    assert world.reward(state, action, state) == 200.5
    assert policy.mode(state) == 0.5
