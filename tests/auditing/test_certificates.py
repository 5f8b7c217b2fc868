"""Certificates of recorded episodes: never below the measured gap, and honest about what is
proven.
"""

import dataclasses
import itertools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.certificates import LocalConstants, certificates
from paracosm.auditing.ladder import Clip, Constants
from paracosm.auditing.termination_margin import Margin
from paracosm.core import checks
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Deterministic
from paracosm.core.precision import in_double
from paracosm.core.records import Bracket
from paracosm.core.rollout import returns, rollout
from paracosm.core.types import Array

LADDER = ("global", "split", "closed_loop", "mean_error", "trajectory", "value")
ROUNDING = 1e-9
STATES, ACTIONS, EPISODES = 3, 1, 4
SCALE = np.array([1.0, 2.0, 0.5])


# Network worlds
# --------------------------------------------------------------------------------
#
# Real: s' = net(s, a), r = net(s, a, s'), a = tanh(net(s)) on scaled inputs and outputs;
# Glorot-normal tanh networks, two hidden layers of 16 for the dynamics and one for the others; last
# weights of dynamics and reward times 10^U(-0.6, 0.2). Learned: every weight and bias plus N(0, 1)
# 10^U(-4, -2). γ = 0.95, starts standard normal in scaled units, 50 steps.


class NetDynamics(eqx.Module):
    net: MLP
    scale: Array

    def __call__(self, state, action, key):
        return self.scale * self.net(jnp.concatenate([state, action]))


class NetReward(eqx.Module):
    net: MLP

    def __call__(self, state, action, next_state):
        return self.net(jnp.concatenate([state, action, next_state]))[0]


class NetPolicy(eqx.Module):
    net: MLP

    def __call__(self, state):
        return jnp.tanh(self.net(state))


class Starts(eqx.Module):
    scale: Array

    def __call__(self, key):
        return self.scale * jax.random.normal(key, (STATES,), self.scale.dtype)


class Hill(eqx.Module):
    """Ends where the first component of s' exceeds `height`."""

    height: Array

    def __call__(self, state, action, next_state):
        return next_state[0] > self.height

    def margin(self, state, action, next_state):
        return next_state[0] - self.height


def network_world(seed):
    """Real system, learned copy and policy."""
    keys = jax.random.split(jax.random.key(seed), 6)
    last, size = (
        float(10 ** jax.random.uniform(keys[0], (), minval=-0.6, maxval=0.2)),
        jax.random.uniform(keys[1], ()),
    )
    ones, scale = jnp.ones(ACTIONS), jnp.asarray(SCALE, jnp.float32)
    inside = jnp.concatenate([scale, ones])
    f = MLP(STATES + ACTIONS, STATES, 16, 2, keys[2], scale=inside, last=last)
    r = MLP(
        2 * STATES + ACTIONS, 1, 16, 1, keys[3], scale=jnp.concatenate([inside, scale]), last=last
    )
    policy = Deterministic(NetPolicy(MLP(STATES, ACTIONS, 16, 1, keys[4], scale=scale)))
    spec = Spec(STATES, Box(-ones, ones), scale, 50)
    real = MDP(spec, NetDynamics(f, scale), NetReward(r), never, Starts(scale), 0.95)

    def disturb(net, key):
        trained, static = (net.weights, net.biases), lambda net: (net.weights, net.biases)
        leaves, tree = jax.tree.flatten(trained)
        noise = [
            jax.random.normal(k, leaf.shape)
            for k, leaf in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
        ]
        moved = [
            leaf + 10 ** (-4 + 2 * size) * change
            for leaf, change in zip(leaves, noise, strict=True)
        ]
        return eqx.tree_at(static, net, jax.tree.unflatten(tree, moved))

    first, second = jax.random.split(keys[5])
    return (
        real,
        real.replace(
            dynamics=NetDynamics(disturb(f, first), scale), reward=NetReward(disturb(r, second))
        ),
        policy,
    )


class Known(NamedTuple):
    """A vector over a ball of states: its value at the centre, its Jacobian's `middle ± spread`."""

    value: Array
    middle: Array
    spread: Array


def affine(known, weight, bias):
    return Known(
        known.value @ weight + bias, weight.T @ known.middle, jnp.abs(weight).T @ known.spread
    )


def squash(known, radius):
    """tanh: each slope between its smallest and largest over what the mean value theorem says is
    reached.
    """
    reach = radius * jnp.linalg.norm(jnp.abs(known.middle) + known.spread, axis=1)
    size = jnp.abs(known.value)
    high, low = 1 / jnp.cosh(jnp.maximum(size - reach, 0)) ** 2, 1 / jnp.cosh(size + reach) ** 2
    middle, spread = (high + low)[:, None] / 2, (high - low)[:, None] / 2
    off = middle * known.spread + spread * (jnp.abs(known.middle) + known.spread)
    return Known(jnp.tanh(known.value), middle * known.middle, off)


def through(net, known, radius):
    known = Known(
        (known.value - net.center) / net.scale,
        *(matrix / net.scale[:, None] for matrix in known[1:]),
    )
    for weight, bias in zip(net.weights[:-1], net.biases[:-1], strict=True):
        known = squash(affine(known, weight, bias), radius)
    return affine(known, net.weights[-1], net.biases[-1])


def join(*known):
    return Known(*(jnp.concatenate(parts) for parts in zip(*known, strict=True)))


class Interval(eqx.Module):
    """Closed-loop constants over a ball by interval Jacobians, in scaled units; never above the
    whole space's.
    """

    world: MDP
    policy: Deterministic
    most: tuple[Array, Array]

    def __call__(self, state, radius):
        scale = jnp.asarray(self.world.spec.state_scale)
        here = Known(state, jnp.diag(scale), jnp.zeros((STATES, STATES)))
        action = squash(through(self.policy.function.net, here, radius), radius)
        after = through(self.world.dynamics.net, join(here, action), radius)
        moved = Known(after.value * scale, *(matrix * scale[:, None] for matrix in after[1:]))
        reward = through(self.world.reward.net, join(here, action, moved), radius)

        def size(known):
            return jnp.linalg.norm(known.middle, 2) + jnp.linalg.norm(known.spread)

        return jnp.minimum(size(after), self.most[0]), jnp.minimum(size(reward), self.most[1])


def products(net, inputs):
    """Products of norms, in scaled units, for the input columns of each slice."""
    rest = np.prod([np.linalg.norm(weight, 2) for weight in net.weights[1:]])
    return [rest * np.linalg.norm(np.asarray(net.weights[0])[columns], 2) for columns in inputs]


def reach(net):
    """How large each output can be."""
    return np.abs(np.asarray(net.weights[-1])).sum(axis=0) + np.abs(np.asarray(net.biases[-1]))


def constants_of(world, policy):
    state, action, after = (
        slice(0, STATES),
        slice(STATES, STATES + ACTIONS),
        slice(STATES + ACTIONS, None),
    )
    f = products(world.dynamics.net, (state, action))
    r = products(world.reward.net, (state, action, after))
    (p,) = products(policy.function.net, (state,))
    loop = f[0] + f[1] * p
    return Constants(*f, *r, p, loop, r[0] + r[1] * p + r[2] * loop)


def brackets_of(constants, kind="certificate"):
    return {
        name: Bracket(0.0, float(constant), kind, "for a test")
        for name, constant in constants._asdict().items()
    }


class Case:
    """Episodes of the real system, what the learned one says of their starts, and its constants."""

    def __init__(self, seed, height=None):
        self.real, self.world, self.policy = in_double(network_world(seed))
        if height is not None:
            self.real = self.real.replace(termination=Hill(np.float64(height)))
            self.world = self.world.replace(termination=Hill(np.float64(height + 0.01)))
        self.key = jax.random.key(seed)
        self.episodes = self.play(self.real)
        self.dreams = self.play(self.world)
        self.gap = self.returns(self.episodes) - self.returns(self.dreams)
        self.constants = constants_of(self.world, self.policy)

    def play(self, mdp):
        with jax.enable_x64(True):
            keys = jax.random.split(self.key, EPISODES)
            start = jax.vmap(self.real.initial)(keys)
            return jax.tree.map(np.asarray, rollout(mdp, self.policy, start, keys, 50))

    def returns(self, episodes):
        with jax.enable_x64(True):
            return np.asarray(returns(episodes.reward, self.real.discount))

    def local(self, mdp, kind="certificate"):
        most = constants_of(mdp, self.policy)[-2:]
        return LocalConstants(
            Interval(mdp, self.policy, tuple(map(np.float64, most))), kind, "for a test"
        )

    @property
    def span(self):
        """Of both rewards, 0 included: what the last layers can put out at all."""
        return 2 * max(reach(mdp.reward.net)[0] for mdp in (self.real, self.world))

    @property
    def clip(self):
        """Both systems' states are the first, the same, or what the last layers can put out."""
        states = np.maximum(reach(self.real.dynamics.net), reach(self.world.dynamics.net))
        return Clip(2 * float(np.linalg.norm(states)), self.span)

    def certify(self, episodes=EPISODES, recorded=None, **settings):
        settings = {
            "local": self.local(self.world),
            "brackets": brackets_of(self.constants),
        } | settings
        recorded = jax.tree.map(lambda column: column[:episodes], recorded or self.episodes)
        ladder = certificates(self.world, self.policy, recorded, self.gap[:episodes], **settings)
        return {certificate.rung: certificate for certificate in ladder}


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.full)])
def test_no_network_world_is_further_off_than_its_certificates(count):
    """Whole, cut and of a single episode; unless cut each rung is at most the one above it."""
    for seed in range(count):
        case = Case(seed)
        size = abs(case.gap.mean())
        uncut, cut = case.certify(), case.certify(clip=case.clip)
        for ladder in (uncut, cut):
            assert all(ladder[rung].kind == "certificate" for rung in LADDER)
            assert all(
                certificate.value >= size * (1 - ROUNDING) for certificate in ladder.values()
            )
            assert all(
                certificate.slack == pytest.approx(certificate.value / size)
                for certificate in ladder.values()
            )
        assert "minimum" not in uncut
        for upper, lower in itertools.pairwise(LADDER):
            assert uncut[lower].value <= uncut[upper].value * (1 + ROUNDING)
        assert all(cut[rung].value <= uncut[rung].value * (1 + ROUNDING) for rung in LADDER)
        alone = case.certify(episodes=1, clip=case.clip)
        assert all(
            certificate.value >= abs(case.gap[0]) * (1 - ROUNDING) for certificate in alone.values()
        )


def test_the_other_pairing_is_the_same_with_the_systems_exchanged():
    """Errors of the real system at imagined states, and the real system's constants."""
    for seed in range(4):
        case = Case(seed)
        brackets = brackets_of(constants_of(case.real, case.policy))
        ladder = certificates(
            case.real,
            case.policy,
            case.dreams,
            -case.gap,
            brackets,
            local=case.local(case.real),
            clip=case.clip,
        )
        assert all(
            certificate.kind == "certificate" and certificate.slack >= 1 - ROUNDING
            for certificate in ladder
        )


def test_the_rungs_are_the_recursion_on_the_recorded_steps():
    case = Case(1)
    ladder = case.certify()
    local, L = case.local(case.world).at, case.constants
    trajectory, plain = [], []
    with jax.enable_x64(True):
        for i in range(EPISODES):
            radius, plain_radius, sums = 0.0, 0.0, [0.0, 0.0]
            for t in range(50):
                state, after, reward = (
                    getattr(case.episodes, what)[i, t] for what in ("state", "next_state", "reward")
                )
                action = case.policy.mode(state)
                dreamt = case.world.dynamics(state, action, case.key)
                off = np.linalg.norm((dreamt - after) / SCALE)
                composed = abs(case.world.reward(state, action, dreamt) - reward)
                missed = abs(case.world.reward(state, action, after) - reward)
                grow, m = local(state, np.float64(radius))
                sums[0] += 0.95**t * (composed + m * radius)
                sums[1] += 0.95**t * (
                    missed + L.closed_loop_reward * plain_radius + L.reward_next * off
                )
                radius, plain_radius = grow * radius + off, L.closed_loop * plain_radius + off
            trajectory.append(sums[0])
            plain.append(sums[1])
    np.testing.assert_allclose(ladder["trajectory"].value, np.mean(trajectory), rtol=1e-9)
    np.testing.assert_allclose(ladder["mean_error"].value, np.mean(plain), rtol=1e-9)


def test_what_is_guessed_makes_an_estimate_and_says_which():
    case = Case(1)
    brackets = brackets_of(case.constants)
    brackets["reward_action"] = dataclasses.replace(
        brackets["reward_action"], kind="estimate", why="it was sampled"
    )
    ladder = case.certify(brackets=brackets)
    for rung in LADDER:
        guessed = rung in ("global", "split")
        assert ladder[rung].kind == ("estimate" if guessed else "certificate")
        assert (
            "the reward action constant is not proven: it was sampled" in ladder[rung].why
        ) == guessed
        assert ("of these 4 episodes" in ladder[rung].why) == (not guessed)
    ladder = case.certify(local=case.local(case.world, "estimate"))
    assert [rung for rung in LADDER if ladder[rung].kind == "estimate"] == ["trajectory", "value"]


def test_without_local_constants_those_of_the_loop_serve():
    case = Case(3)
    of_loop, local = case.certify(local=None), case.certify()
    assert (
        local["trajectory"].value
        < 1e-6 * of_loop["trajectory"].value
        <= of_loop["mean_error"].value
    )
    assert of_loop["value"].value == pytest.approx(of_loop["trajectory"].value)
    assert of_loop["trajectory"].kind == "certificate"


def test_an_exact_world_has_no_gap_and_no_bound():
    case = Case(3)
    case.world, case.gap = case.real, 0 * case.gap
    ladder = case.certify(brackets=brackets_of(constants_of(case.real, case.policy)))
    assert ladder["trajectory"].value < 1e-12
    assert all(certificate.slack == np.inf for certificate in ladder.values())


def test_a_turned_ladder_shows_its_smallest_rung():
    case = Case(3)
    loose = LocalConstants(
        lambda state, radius: (jnp.array(30.0), jnp.array(90.0)), "certificate", ""
    )
    ladder = case.certify(local=loose)
    least = min((ladder[rung] for rung in LADDER), key=lambda certificate: certificate.value)
    assert ladder["minimum"].value == least.value < ladder["trajectory"].value
    assert least.rung.replace("_", " ") in ladder["minimum"].why
    guessed = case.certify(
        local=LocalConstants(
            lambda state, radius: (jnp.array(0.0), 0.0 * radius), "estimate", "guessed"
        )
    )
    assert "minimum" not in guessed  # in order; what is not proven stays an estimate
    assert guessed["trajectory"].kind == "estimate"


def ending(seed):
    case = Case(seed, height=0.2)
    margin = Margin(case.world.termination.margin, 0.0, float(SCALE[0]))
    return case, {"end": margin, "reward_span": case.span, "clip": case.clip}


def test_ends_are_paid_for():
    ends, stopped = [], 0
    for seed in range(12):
        case, settings = ending(seed)
        ends.append(case.episodes.terminated.any(axis=1).mean())
        ladder = case.certify(**settings)
        blind = case.certify(**settings | {"end": None})
        for certificate in (*ladder.values(), *blind.values()):
            assert certificate.value >= abs(case.gap.mean()) * (1 - ROUNDING)
        for upper, lower in itertools.pairwise(LADDER[:-1]):
            assert ladder[lower].value <= ladder[upper].value * (1 + ROUNDING)
        stopped += ladder["trajectory"].value < 0.5 * blind["trajectory"].value
        assert (
            case.certify(**settings | {"end": None, "reward_span": np.inf})["trajectory"].value
            == np.inf
        )
    assert 0.2 < np.mean(ends) < 0.95
    assert stopped >= 3  # a margin that is known says that some episodes end or go on together


def test_an_end_that_the_world_does_not_know_is_paid_for():
    case = Case(3)
    episodes = dataclasses.replace(
        case.episodes, terminated=np.arange(50) == 49 + 0 * case.episodes.terminated
    )
    known = case.certify()["trajectory"].value
    assert case.certify(recorded=episodes)["trajectory"].value == pytest.approx(
        known
    )  # at the horizon, all is over
    ended = np.zeros_like(case.episodes.terminated)
    ended[:, 4] = True
    alive = np.broadcast_to(np.arange(50) <= 4, ended.shape)
    reward = np.where(alive, case.episodes.reward, 0)
    episodes = dataclasses.replace(case.episodes, terminated=ended, alive=alive, reward=reward)
    assert case.certify(recorded=episodes)["trajectory"].value == np.inf
    tail = case.span * sum(0.95**t for t in range(5, 50))
    bound = case.certify(recorded=episodes, reward_span=case.span)["trajectory"].value
    assert tail <= bound * (1 + ROUNDING)
    gap = case.returns(episodes) - case.returns(case.dreams)
    assert abs(gap.mean()) <= bound


class Noisy(eqx.Module):
    net: NetDynamics

    def __call__(self, state, action, key):
        return self.net(state, action, key) + 0.01 * jax.random.normal(key, state.shape)


def test_a_world_that_draws_noise_has_three_rungs_and_no_certificate():
    case = Case(1)
    case.world = case.world.replace(dynamics=Noisy(case.world.dynamics))
    ladder = certificates(
        case.world, case.policy, case.episodes, case.gap, brackets_of(case.constants)
    )
    assert [certificate.rung for certificate in ladder] == list(LADDER[:3])
    assert all(
        certificate.kind == "estimate" and "noise" in certificate.why for certificate in ladder
    )


def test_a_missing_bracket_is_named():
    case = Case(1)
    brackets = brackets_of(case.constants)
    del brackets["reward_next"]
    with pytest.raises(checks.BadArgument, match="lack reward_next"):
        case.certify(brackets=brackets)
