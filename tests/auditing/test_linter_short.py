"""Records too short, too few or too constant to say anything: no error, no warning, and no finding
by chance.
"""

import dataclasses
import functools
import warnings

import jax
import numpy as np
import pytest

from paracosm.auditing.linter import lint
from paracosm.auditing.linter.steps import sampled
from paracosm.reporting.finding_words import sentence
from tests.auditing.fits import Fit

LIMIT = 200


@pytest.fixture(autouse=True)
def sixty_four_bits():
    with jax.enable_x64(True):
        yield


def short(fit, count, steps, constant=""):
    """The first `count` episodes of a fit, that all end after `steps` of `LIMIT`; one column
    constant.
    """
    room = ((0, 0), (0, LIMIT - fit.episodes.alive.shape[1]))
    cut = jax.tree.map(
        lambda x: np.pad(x[:count], room + ((0, 0),) * (x.ndim - 2), mode="edge"), fit.episodes
    )
    alive = np.broadcast_to(np.arange(LIMIT) < steps, (count, LIMIT))
    over = np.broadcast_to(np.arange(LIMIT) == steps - 1, (count, LIMIT))
    columns = {"alive": alive, "terminated": over, "truncated": np.zeros_like(over)}
    columns["reward"] = np.where(alive, cut.reward, 0.0)
    if constant == "action":
        columns["action"] = np.broadcast_to(cut.action[:1, :1], cut.action.shape)
    if constant == "state":
        state = np.broadcast_to(cut.state[:1, :1], cut.state.shape)
        columns |= {"state": state, "next_state": state, "reward": np.where(alive, -1.0, 0.0)}
    return dataclasses.replace(cut, **columns)


@functools.cache
def small(kind):
    return Fit(kind, 1, rows=300, features=20)


@functools.cache
def worlds(kind):
    """An honest fit, one that hardly looks at the action, and one that is far off in both parts."""
    fit = small(kind)
    part, pay = fit.world.dynamics, fit.world.reward
    return (
        fit.world,
        fit.world.replace(dynamics=lambda s, a, k: part(s, 0 * a, k) + 1e-3),
        fit.world.replace(
            dynamics=lambda s, a, k: part(s, a, k) + 1, reward=lambda s, a, t: 3 * pay(s, a, t) + 1
        ),
    )


@functools.cache
def predictions(kind, constant, steps, number):
    """Of the six longest records, which the shorter ones are the first of: one program a world."""
    episodes = short(small(kind), 6, steps, constant)
    return small(kind).predictions(worlds(kind)[number], episodes)


@pytest.mark.parametrize(
    ("kind", "constant"),
    [
        ("pendulum", ""),
        ("pendulum", "state"),
        ("discrete", "action"),
        pytest.param("pendulum", "action", marks=pytest.mark.full),
        pytest.param("discrete", "", marks=pytest.mark.full),
        pytest.param("discrete", "state", marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize(
    "count", [1, *(pytest.param(n, marks=pytest.mark.full) for n in (2, 3)), 6]
)
def test_records_of_any_size_are_linted_without_an_error_or_a_warning(kind, constant, count):
    fit = small(kind)
    for number, world in enumerate(worlds(kind)):
        for steps in (1, 2, 5, 40):
            episodes = short(fit, count, steps, constant)
            first = jax.tree.map(lambda x: x[:count], predictions(kind, constant, steps, number))
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                findings = lint(world, episodes, first, fit.key)
            text = " ".join(map(sentence, findings))
            assert "nan" not in text.replace("finance", "")
            assert "inf " not in text


@pytest.mark.parametrize(("count", "steps"), [(6, 40), (3, 60), (1, 20), (1, 2), (6, 1), (12, 5)])
def test_blocks_are_parts_of_the_length_lived(count, steps):
    """Numbered without a gap; at least two wherever there are two steps."""
    fit = small("pendulum")
    episodes = short(fit, count, steps)
    sample = sampled(fit.world, episodes, fit.predictions(fit.world, episodes))
    blocks = np.unique(sample.block)
    assert blocks.tolist() == list(range(len(blocks)))
    assert len(blocks) == min(max(count, -(-8 // count) * count), count * steps)
