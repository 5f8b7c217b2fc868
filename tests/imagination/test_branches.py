"""Short branches: returns, gradients by two routes, the exact choice, and what novelty adds."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.checks import BadArgument
from paracosm.core.devices import map_over_devices
from paracosm.core.learner import Problem, RecordedRewards, StartStates
from paracosm.core.mdp import MDP, Discrete, Domain, Spec
from paracosm.core.members import disagreement_share
from paracosm.core.networks import MLP
from paracosm.core.policy import Categorical, SquashedGaussian
from paracosm.core.precision import in_double
from paracosm.imagination.branches import (
    MOST_NOVELTY,
    BranchSteps,
    TwinValue,
    branch_returns,
    imagined_branches,
    value_bounds,
)
from paracosm.imagination.evaluation import EPISODES
from paracosm.imagination.pathwise import Pathwise, PathwiseSettings
from paracosm.imagination.value_network import ValueNetwork
from tests.imagination.test_imagine import INITIAL, SPEC, VISITED, integrator

STARTS = StartStates(jnp.asarray(INITIAL), jnp.asarray(VISITED))
REWARDS = RecordedRewards(jnp.asarray(-2.0), jnp.asarray(0.0), jnp.asarray(0.5))
KEY = jax.random.key(0)


def problem(world: MDP, **fields) -> Problem:
    return Problem(world, world, STARTS, 6, jnp.asarray(1e-2), REWARDS, **fields)


def value(size: int = 1) -> TwinValue:
    networks = (ValueNetwork(MLP(size, 1, 8, 2, jax.random.fold_in(KEY, i))) for i in range(2))
    return TwinValue(tuple(networks), jnp.asarray(1.0))


def played(policy, task: Problem, *, branches: int = 8, steps: int = 3, completed=None):
    """Branches, on one device or several."""
    completed = value() if completed is None else completed

    def local(shared, numbers):
        policy, task, completed = shared
        keys = jax.vmap(lambda number: jax.random.fold_in(KEY, number))(numbers)
        start = task.starts.draw(keys, 1.0)
        return imagined_branches(policy, completed, task, start, KEY, keys=keys, steps=steps)

    def first(tree):
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), tree)

    def call(*shared):
        across = lambda shared, numbers: first(local(shared, numbers))  # noqa: E731
        return first(map_over_devices(across, branches, shared=1)(shared, jnp.arange(branches)))

    return eqx.filter_jit(call)(policy, task, completed)


def test_branch_returns_are_sums():
    rng = np.random.default_rng(0)
    reward, goes_on, entropy, later = rng.random((4, 3, 5), np.float32)
    blank = np.zeros((3, 5), np.float32)
    steps = BranchSteps(
        next_state=blank,
        reward=reward,
        goes_on=goes_on,
        entropy=entropy,
        next_value=later,
        objective=blank,
    )
    last = reward[2] + 0.9 * goes_on[2] * later[2]
    full = [reward[1] + 0.9 * goes_on[1] * last, last]
    full.insert(0, reward[0] + 0.9 * goes_on[0] * full[0])
    np.testing.assert_allclose(branch_returns(steps, 0.9, 1.0), full, rtol=1e-5)
    np.testing.assert_allclose(
        branch_returns(steps, 0.9, 0.0), reward + 0.9 * goes_on * later, rtol=1e-5
    )


def test_the_gradient_through_the_world_is_the_difference_quotient():
    """By a second route, in 64 bits; dynamics, reward, end and value all take part."""
    world = integrator(termination=_Ends())
    policy = SquashedGaussian(MLP(1, 2, 4, 1, KEY, last=0.5), SPEC.action)
    with jax.enable_x64(True):
        task, policy, completed = in_double((problem(world), policy, value()))
        bias = jnp.asarray(policy.network.biases[-1])

        def climbed(bias):
            moved = eqx.tree_at(lambda p: p.network.biases[-1], policy, bias)
            branches = played(moved, task, completed=completed)
            targets = branch_returns(branches.steps, 0.9, 0.9) + 0.1 * branches.steps.entropy
            return jnp.sum(jax.lax.stop_gradient(branches.weight) * targets)

        def frozen(bias):
            """Weights are constants to the gradient, so they are to the quotient."""
            moved = eqx.tree_at(lambda p: p.network.biases[-1], policy, bias)
            steps = played(moved, task, completed=completed).steps
            return jnp.sum(weight * (branch_returns(steps, 0.9, 0.9) + 0.1 * steps.entropy))

        weight = played(policy, task, completed=completed).weight
        gradient, step = jax.grad(climbed)(bias), 1e-6
        for i in range(2):
            ahead, behind = (frozen(bias.at[i].add(sign * step)) for sign in (1, -1))
            np.testing.assert_allclose((ahead - behind) / (2 * step), gradient[i], rtol=1e-5)
    assert np.all(np.asarray(weight)[1:] < 1)


class _Ends(eqx.Module):
    """Ends are likelier farther out."""

    def __call__(self, state, action, next_state):
        return self.logit(state, action, next_state) > 0

    def logit(self, state, action, next_state):
        return next_state[0] ** 2 - 1


def chain(actions: int = 3) -> MDP:
    spec = Spec(1, Discrete(actions), jnp.ones(1), 12)
    return integrator(
        spec=spec,
        dynamics=lambda s, a, key: s + 0.3 * (a - 1.0),
        reward=lambda s, a, t: -(t[0] ** 2),
    )


def test_a_choice_climbs_the_expectation_over_all_of_its_actions():
    task = problem(chain())
    policy, completed = Categorical(MLP(1, 3, 4, 1, KEY)), value()
    branches = played(policy, task, steps=1, completed=completed)
    low, high = value_bounds(task)
    for state, climbed in zip(branches.state[0], branches.steps.objective[0], strict=True):
        p = jax.nn.softmax(policy.network(state))
        after = [state + 0.3 * (a - 1.0) for a in range(3)]
        reward = [jnp.clip(-(t[0] ** 2), -2, 0) / 0.5 for t in after]
        later = [jnp.clip(completed(t), low, high) for t in after]
        worth = sum(p[a] * (reward[a] + 0.9 * later[a]) for a in range(3))
        np.testing.assert_allclose(climbed, worth, rtol=1e-5)


def test_exploring_pays_for_disagreement_alone_and_no_more_than_its_limit():
    world = integrator(dynamics=_Members())
    policy = SquashedGaussian(MLP(1, 2, 4, 1, KEY), SPEC.action)
    plain, exploring = (
        played(policy, problem(world, explore=jnp.asarray(explore))) for explore in (0.0, 1.0)
    )
    assert np.all(np.asarray(plain.steps.reward) <= 0)
    bonus = np.asarray(exploring.steps.reward)
    assert np.all((bonus > 0) & (bonus <= MOST_NOVELTY))
    farther = np.abs(np.asarray(exploring.state[..., 0]))
    assert np.corrcoef(farther.ravel(), bonus.ravel())[0, 1] > 0.9


class _Members(eqx.Module):
    """Two guesses that lie apart the farther out the state is."""

    def members(self, state, action):
        return jnp.stack([state + 0.5 * action, 1.1 * state + 0.5 * action])

    def __call__(self, state, action, key):
        return jnp.mean(self.members(state, action), axis=0)


@pytest.mark.parametrize("part", ["dynamics", "reward"])
def test_a_part_without_a_derivative_is_named(part):
    def opaque(*arguments):
        answer = jax.ShapeDtypeStruct((1,) if part == "dynamics" else (), jnp.float32)
        return jax.pure_callback(
            lambda *_: np.zeros(answer.shape, np.float32), answer, *arguments[:2]
        )

    task = problem(integrator(**{part: opaque}))
    with pytest.raises(BadArgument, match=f"the world's {part} has no derivative"):
        Pathwise(PathwiseSettings(branches=4)).init(task, KEY)


def learned(world: MDP, **settings):
    """The state and the learner after some hundred steps of training."""
    task = dataclasses.replace(problem(world), rate=jnp.asarray(3e-3))
    learner = Pathwise(PathwiseSettings(branches=32, width=16, **settings))

    @eqx.filter_jit
    def trained(key):
        first, rest = jax.random.split(key)
        return jax.lax.fori_loop(
            0,
            400,
            lambda i, state: learner.step(state, task, jax.random.fold_in(rest, i))[0],
            learner.init(task, first),
        )

    return trained(KEY), learner


def test_a_policy_learns_to_stand_still_at_the_goal():
    """Of an integrator that is rewarded for being near 0, the optimum is near `a = -2 s`."""
    state, learner = learned(integrator())
    policy = learner.policy(state)
    for space in (policy.space, state.policy.space):
        np.testing.assert_array_equal(space.low, SPEC.action.low)
        np.testing.assert_array_equal(space.high, SPEC.action.high)
    np.testing.assert_allclose(policy(np.array([[0.4], [-0.4]])), [[-0.8], [0.8]], atol=0.2)


def test_dear_actions_are_as_large_as_they_should_be():
    """By Riccati's equation, with long branches: a derivative that counts what comes late several
    times acts too much (0.71 instead of 0.56).
    """
    price, gain = 0.5, 0.5
    world = integrator(reward=lambda s, a, t: -(s[0] ** 2) - price * a[0] ** 2)
    later, discount = 1.0, world.discount
    for _ in range(200):
        act = discount * gain * later / (price + discount * gain**2 * later)
        later = 1 + price * act**2 + discount * later * (1 - gain * act) ** 2
    state, learner = learned(world, steps=6, alpha=0.01)
    policy = learner.policy(state)
    acted = np.ravel(policy(np.array([[0.6], [-0.6]])))
    np.testing.assert_allclose(acted, [-0.6 * act, 0.6 * act], atol=0.05)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_world_with_a_domain_tells_its_edge_share(steps):
    world = integrator(domain=Domain(jnp.array([-0.5]), jnp.array([0.5])))
    learner = Pathwise(PathwiseSettings(branches=8, width=8, steps=steps))
    state = eqx.filter_jit(learner.init)(problem(world), KEY)
    metrics = eqx.filter_jit(learner.step)(state, problem(world), KEY)[1]
    assert 0 < metrics["edge_share"] < 1


def test_values_and_alpha_keep_their_worth_when_rewards_grow():
    learner = Pathwise(PathwiseSettings(branches=8, width=8))
    small = dataclasses.replace(problem(integrator()), rate=jnp.asarray(0.0))
    large = dataclasses.replace(small, rewards=REWARDS._replace(size=jnp.asarray(2.0)))
    state = eqx.filter_jit(learner.init)(small, KEY)
    after = eqx.filter_jit(learner.step)(state, large, KEY)[0]
    for old, new in zip(state.slow_values, after.slow_values, strict=True):
        np.testing.assert_allclose(2.0 * new(INITIAL[0]), 0.5 * old(INITIAL[0]), rtol=1e-4)
    worth = jnp.exp(jnp.stack([state.log_alpha, after.log_alpha])) * jnp.array([0.5, 2.0])
    np.testing.assert_allclose(worth[0], worth[1], rtol=1e-5)


def test_alpha_falls_with_the_rewards():
    """Of the size they had when it was smallest: the same share of it."""
    learner = Pathwise(PathwiseSettings(branches=8, width=8))
    large = dataclasses.replace(problem(integrator()), rate=jnp.asarray(0.0))
    small = dataclasses.replace(large, rewards=REWARDS._replace(size=jnp.asarray(0.1)))
    state = eqx.filter_jit(learner.init)(large, KEY)
    after = eqx.filter_jit(learner.step)(state, small, KEY)[0]
    np.testing.assert_allclose(after.log_alpha, state.log_alpha, rtol=1e-6)


def walked(world: MDP, count: int, dynamics=lambda s, a, key: s + 1, horizon=10**6):
    """The learner's states after each of so many training steps in a world that only counts."""
    spec = Spec(1, SPEC.action, jnp.ones(1), horizon)
    task = problem(world.replace(dynamics=dynamics, spec=spec))
    learner = Pathwise(PathwiseSettings(branches=8, steps=3, width=8))
    states = [eqx.filter_jit(learner.init)(task, KEY)]
    for i in range(count):
        states.append(eqx.filter_jit(learner.step)(states[-1], task, jax.random.key(i))[0])
    return states[1:]


def test_half_of_the_branches_go_on_along_imagined_episodes():
    first, second, third = walked(integrator(discount=1.0), 3)
    assert all(np.all(state.frontier_alive) for state in (first, second, third))
    starts = np.concatenate([INITIAL, VISITED])
    begun = np.asarray(first.frontier) - 3
    for number, start in enumerate(begun):
        own = starts if number % 2 else VISITED
        assert np.min(np.abs(start - own)) < 1e-5
    for before, after in ((first, second), (second, third)):
        np.testing.assert_allclose(after.frontier[1::2], before.frontier[1::2] + 3, rtol=1e-6)
        assert np.all(after.frontier[::2] < starts.max() + 4), "the others start anew"


@pytest.mark.full
def test_imagined_episodes_end_by_chance_as_the_return_says():
    """They go on for a step with the chance `γ (1 - p)`, here for three steps by 8 branches."""
    share = np.mean([state.frontier_alive for state in walked(integrator(discount=0.7), 60)])
    assert abs(share - 0.7**3) < 4 * np.sqrt(0.7**3 / 480)
    always = integrator(discount=1.0, termination=lambda s, a, t: jnp.ones((), bool))
    assert not np.any([state.frontier_alive for state in walked(always, 3)])
    share = np.mean(
        [state.frontier_alive for state in walked(integrator(discount=1.0), 60, horizon=4)]
    )
    assert abs(share - 0.75**3) < 4 * np.sqrt(0.75**3 / 480), "as long as an episode in the mean"
    beyond = integrator(discount=1.0, domain=Domain(jnp.array([-2.0]), jnp.array([2.0])))
    assert not np.any([state.frontier_alive for state in walked(beyond, 3)]), (
        "past the edge of the data"
    )


def test_disagreement_share_is_the_members_distance_as_a_share_of_a_step():
    """Two members 0.2 apart, 0.1 from their mean, where a step changes 0.5."""

    class Two(eqx.Module):
        def members(self, state, action):
            return jnp.stack([state, state + jnp.array([0.2, 0.0])])

        def __call__(self, state, action, key):
            return state

    world = integrator(dynamics=Two())
    states, actions = jnp.zeros((3, 2)), jnp.zeros((3, 1))
    by_hand = np.sqrt(0.1**2 / 0.5**2 / 2)
    np.testing.assert_allclose(
        disagreement_share(world, states, actions, jnp.array([0.5, 1.0])), by_hand
    )
    alone = disagreement_share(world, states, actions, jnp.array([0.5, 0.0]))
    np.testing.assert_allclose(alone, 0.1 / 0.5, err_msg="what never changes does not count")
    far = disagreement_share(world, states, actions, jnp.array([0.01, 1.0]))
    np.testing.assert_allclose(far, np.sqrt(1 / 2), err_msg="no component counts more than 1")
    np.testing.assert_array_equal(
        disagreement_share(integrator(), states, actions, jnp.ones(2)), np.zeros(3)
    )


def test_imagined_episodes_go_on_as_far_as_the_members_agree():
    class Apart(eqx.Module):
        by: float

        def members(self, state, action):
            return jnp.stack([state + 1 - self.by, state + 1 + self.by])

        def __call__(self, state, action, key):
            return state + 1

    def share(by: float) -> float:
        world = integrator(discount=1.0)
        return float(np.mean([s.frontier_alive for s in walked(world, 40, dynamics=Apart(by))]))

    assert share(0.0) == 1
    assert abs(share(0.3) - 0.7**3) < 4 * np.sqrt(0.7**3 / 320)
    assert share(1.0) == 0


@pytest.mark.parametrize("devices", [1, 2, 4, 6, 8, 12, 16, 64])
def test_training_and_evaluation_spread_over_the_same_devices(devices):
    """One compiled program holds both; on other devices each it would be refused."""

    def used(share: int) -> int:
        return max(count for count in range(1, devices + 1) if share % count == 0)

    assert used(PathwiseSettings().branches) == used(2 * EPISODES)
