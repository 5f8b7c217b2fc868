"""What the reward's errors say: clipping, a hidden cause, a mean, and causes that explain only a
part of them.
"""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.linter import lint
from paracosm.core.rollout import rollout
from paracosm.reporting.finding_words import with_sentence
from tests.auditing.fits import Fit


@pytest.fixture(autouse=True)
def sixty_four_bits():
    with jax.enable_x64(True):
        yield


@functools.cache
def pendulum():
    """A fit whose dynamics are exact to a little, so that its rewards are all that there is to
    lint.
    """
    return Fit("pendulum", 1)


def findings(reward, real=None, noise=0.0):
    """Of a world that is the real pendulum but for the learned `reward`, and of `real` rewards in
    place of its own.
    """
    fit = pendulum()
    world = fit.real.replace(
        reward=lambda s, a, t: reward(s, a, t) + noise * jnp.sin(7 * s[0] + 3 * s[2])
    )
    episodes = fit.episodes
    if real is not None:
        episodes = dataclasses.replace(episodes, reward=np.where(episodes.alive, real, 0.0))
    return [*map(with_sentence, lint(world, episodes, fit.predictions(world, episodes), fit.key))]


def paid(s, a, t):
    return pendulum().real.reward(s, a, t)


def kinds(result):
    return [finding.kind for finding in result]


CLIPS = {
    (-5.0, 0.0): "clipped below -5 ",
    (-1.0, 1.0): "clipped below -1 ",
    (-8.0, -1.0): "clipped to -8 to -1 ",
}


@pytest.mark.parametrize("limits", CLIPS)
def test_rewards_that_were_clipped(limits):
    result = findings(lambda s, a, t: jnp.clip(paid(s, a, t), *limits))
    assert kinds(result) == ["reward clipping"]
    assert CLIPS[limits] in result[0].sentence
    assert result[0].sentence.split("error ")[1].startswith("0 so")
    assert kinds(findings(lambda s, a, t: jnp.clip(paid(s, a, t), *limits), noise=0.03)) == [
        "reward clipping"
    ]


@pytest.mark.parametrize(
    "curve", [lambda r: jnp.sign(r + 0.5), jnp.tanh, lambda r: -jnp.sqrt(1e-9 - r)]
)
@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_curves_that_lose_a_part_of_the_reward(curve, noise):
    result = findings(lambda s, a, t: curve(paid(s, a, t)), noise=noise)
    assert kinds(result) == ["reward curve"]
    assert "a rising curve of the re" in result[0].sentence


def test_limits_that_cut_nothing_off_are_no_clipping():
    assert kinds(findings(lambda s, a, t: jnp.clip(paid(s, a, t), -100, 100), noise=0.03)) == []


def per_episode(values):
    return np.broadcast_to(np.asarray(values, float)[:, None], pendulum().episodes.reward.shape)


HIDDEN = {
    "0 or -2 by episode": (
        lambda draws, real: per_episode(draws.choice([0.0, -2.0], len(real))),
        -1.0,
    ),
    "noise": (lambda draws, real: draws.normal(size=real.shape) - 1, -1.0),
    "a bonus by episode": (
        lambda draws, real: real + per_episode(3 * draws.normal(size=len(real))),
        None,
    ),
    "a gain by episode": (
        lambda draws, real: real * per_episode(draws.choice([0.4, 1.6], len(real))),
        None,
    ),
}


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("case", HIDDEN)
def test_the_mean_of_a_reward_that_the_state_does_not_show_is_no_poor_fit(case, slope):
    """What learning gives where the reward is hidden, nearly: no label can mend that."""
    make, mean = HIDDEN[case]
    real = make(np.random.default_rng(1), pendulum().episodes.reward)
    result = findings(
        lambda s, a, t: (paid(s, a, t) if mean is None else mean) + slope * s[0], real=real
    )
    assert kinds(result) == ["unexplained reward"]
    below, own = (
        float(x)
        for x in re.findall(r"about ([\d.e-]+);.*reward's is ([\d.e-]+)", result[0].sentence)[0]
    )
    assert below <= own


@pytest.mark.parametrize("frequency", [3, 6, 12, 25, 60])
def test_a_reward_that_bends_much_is_not_hidden(frequency):
    """The nearest pairs were paid the same, though most neighbours were not."""
    states = pendulum().episodes.state
    real = np.cos(frequency * np.arctan2(states[..., 1], states[..., 0]) + states[..., 2])
    assert kinds(findings(lambda s, a, t: 0.3 * jnp.sin(3 * s[0]), real=real)) in (
        [],
        ["constant reward"],
    )
    assert kinds(findings(lambda s, a, t: 0 * s[0], real=real)) == ["constant reward"]


def test_a_reward_in_bands_is_not_hidden():
    """Where the steps are so many, 20 episodes of 200, that the closest pairs resolve the bands."""
    fit = pendulum()
    keys = jax.random.split(jax.random.key(0), 20)
    starts = jax.vmap(fit.real.initial)(keys)
    episodes = jax.tree.map(np.asarray, rollout(fit.real, fit.policy, starts, keys, 200))
    paid_in_bands = (np.abs(3 * episodes.next_state[..., 2] % 1) < 0.5) * 1.0
    episodes = dataclasses.replace(episodes, reward=paid_in_bands)
    world = fit.real.replace(reward=lambda s, a, t: 0.5 + 0.02 * s[0])
    assert kinds(lint(world, episodes, fit.predictions(world, episodes), fit.key)) == [
        "constant reward"
    ]


def weighted(angle=1.0, speed=0.1):
    def reward(s, a, t):
        theta = jnp.arctan2(s[1], s[0])
        return -(angle * theta**2 + speed * s[2] ** 2 + 0.001 * jnp.clip(a[0], -2, 2) ** 2)

    return reward


def test_a_factor_is_the_only_cause_where_nothing_else_is_left():
    """Another weight of one term is in part a factor; nobody divided the rewards by it."""
    for reward in (weighted(angle=1.3), weighted(angle=0.6), weighted(speed=0.2)):
        assert all("was trained on" not in finding.sentence for finding in findings(reward))
    result = findings(lambda s, a, t: paid(s, a, t) / 3)
    assert kinds(result) == ["reward scale"]
    assert "times 3 (it was trained on rewards divided by that)" in result[0].sentence


def test_a_rival_is_said_once_and_no_number_is_rounding():
    result = findings(lambda s, a, t: paid(t, a, t))
    assert len(result) == 1
    assert result[0].sentence.count("1 step later") == 1
    assert not re.search(r"e-\d", result[0].sentence)
    assert result[0].sentence.count(", or when ") == 1
