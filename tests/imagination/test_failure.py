"""Numbers that are not finite: the sentence names the part that gave the first of them, and its
step.
"""

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.mdp import Discrete, Spec
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import Categorical, initial_policy
from paracosm.imagination.imagine import ImagineSettings
from tests.imagination.imagining import imagine_in
from tests.imagination.test_imagine import INITIAL, SPEC, VISITED, integrator

QUICK = ImagineSettings(
    rollouts=32, horizon=6, rates=(5e-3,), check=2, most_steps=6, width=4, depth=1
)


class Dynamics(eqx.Module):
    """`s' = factor s + drift + 0.5 a`, NaN from states above `hole`."""

    hole: jax.Array
    factor: jax.Array
    drift: jax.Array

    def __call__(self, state, action, key):
        return jnp.where(
            state > self.hole, jnp.nan, self.factor * state + self.drift + 0.5 * action
        )


class Reward(eqx.Module):
    """`-s²` times a factor, NaN at states above `hole`."""

    hole: jax.Array
    factor: jax.Array

    def __call__(self, state, action, next_state):
        return jnp.where(state[0] > self.hole, jnp.nan, -self.factor * state[0] ** 2)


def world_of(*, dynamics=(jnp.inf, 1.0, 0.0), reward=(jnp.inf, 1.0)):
    """Worlds of the same two programs, which differ in numbers only and so are compiled once."""
    parts = (
        kind(*map(jnp.asarray, numbers))
        for kind, numbers in ((Dynamics, dynamics), (Reward, reward))
    )
    return integrator(**dict(zip(("dynamics", "reward"), parts, strict=True)))


class Holed(LabelNoise):
    """Noise that is NaN at states above a half."""

    def apply(self, reward, state, action, next_state, key):
        return jnp.where(state[0] > 0.5, jnp.nan, reward)

    def mean_shift(self, reward, state, action, next_state):
        return jnp.zeros(())

    def variance(self, reward, state, action, next_state):
        return jnp.zeros(())


class Lost(Categorical):
    """A policy whose probabilities are NaN at states above a half."""

    def log_prob(self, state, action):
        return jnp.where(state[0] > 0.5, jnp.nan, 1.0) * super().log_prob(state, action)


WORLD = world_of()
POLICY = initial_policy(SPEC, jax.random.key(0), width=4, depth=1)
CHOICE = integrator(
    spec=Spec(1, Discrete(3), jnp.ones(1), 12),
    dynamics=lambda s, a, key: s + 0.25 * (a - 1),
    reward=lambda s, a, t: -(s[0] ** 2),
)
full = pytest.mark.full  # those that need programs of their own

# What is planted: the world, options, and the sentence.
PLANTED = {
    "dynamics": (
        world_of(dynamics=(1.2, 1.0, 0.0)),
        {},
        r"the dynamics' next state is nan at step 1 of rollout before the first gradient step,"
        r" number \d+; ",
    ),
    "dynamics that overflow": (
        world_of(dynamics=(jnp.inf, 1e20, 0.0)),
        {},
        r"the dynamics' next state is -?inf at step 1 of rollout ",
    ),
    "reward": (
        world_of(reward=(0.9, 1.0)),
        {},
        r"the reward is nan at step 0 of rollout before the first gradient step, number \d+; ",
    ),
    "reward, in looks only": (
        world_of(reward=(6.0, 1.0), dynamics=(jnp.inf, 1.0, 0.6)),
        {},
        r"the reward is nan at step \d+ of episode imagined after gradient step 2, number \d+; ",
    ),
    "reward that overflows": (
        world_of(reward=(jnp.inf, 3e38)),
        {},
        r"the reward is -inf at step \d of rollout ",
    ),
    "returns that overflow": (
        world_of(reward=(jnp.inf, 1e30)),
        {},
        r"the value's first units are not finite; ",
    ),
    "optimiser": (
        WORLD,
        {"settings": dataclasses.replace(QUICK, rates=(3e38,))},
        r"the gradient of the value is not finite in gradient step 1 at the rate 3e\+38, though"
        r" its rollouts are; ",
    ),
    "parameters of the policy": (
        WORLD,
        {
            "policy": eqx.tree_at(
                lambda p: p.network.biases[0], POLICY, replace_fn=lambda b: b * jnp.nan
            )
        },
        r"the policy holds NaN among its parameters; ",
    ),
    "label noise": (
        WORLD,
        {"label_noise": Holed()},
        r"the noisy label is nan at step \d of gradient step 1, rollout ",
    ),
    "label source": (
        WORLD,
        {"label_source": Reward(jnp.asarray(0.5), jnp.ones(())), "gold_share": 0.5},
        r"the label source's reward is nan at step \d of gold rollout before the first gradient"
        r" step, number \d+; ",
    ),
    "the policy's density": (
        CHOICE,
        {"policy": Lost(initial_policy(CHOICE.spec, jax.random.key(0), width=4, depth=1).network)},
        r"the policy's log-probability is nan at step \d of gradient step 1, rollout \d+; ",
    ),
}
DEAR = ("label noise", "label source", "the policy's density")
cases = [
    pytest.param(*case, id=name, marks=[full] * (name in DEAR)) for name, case in PLANTED.items()
]


@pytest.mark.parametrize(("world", "options", "sentence"), cases)
def test_the_sentence_names_the_part_and_the_step(world, options, sentence):
    with pytest.raises(checks.BadData) as refusal:
        imagine_in(world, INITIAL, VISITED, **{"settings": QUICK, **options})
    message = str(refusal.value)
    assert re.match(sentence, message), message
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message


def test_a_gradient_step_that_meets_it_is_named():
    """The starts that it lies at are not among those of the rollouts before the first step."""
    with pytest.raises(
        checks.BadData, match=r"^the reward is nan at step 0 of gradient step 1, rollout \d+; "
    ):
        imagine_in(world_of(reward=(5.0, 1.0)), INITIAL + 6, VISITED, settings=QUICK)


def test_good_parts_are_silent():
    assert np.isfinite(
        imagine_in(WORLD, INITIAL, VISITED, settings=QUICK).training.imagined_return
    ).all()


FORMS = {
    "dynamics of another size": (
        {"dynamics": lambda s, a, key: jnp.zeros(2)},
        "the world's dynamics has the shape (2,)",
    ),
    "a reward of shape (1,)": (
        {"reward": lambda s, a, t: s},
        "the world's reward has the shape (1,)",
    ),
    "a whole reward": (
        {"reward": lambda s, a, t: jnp.ones((), int)},
        "of the type int32 for one step",
    ),
    "an end rule that answers floats": ({"termination": lambda s, a, t: s[0]}, "bool is needed"),
    "a reward of two arguments": (
        {"reward": lambda s, a: s[0]},
        "the world's reward cannot be had for one step: TypeError",
    ),
    "parameters": ({"termination": eqx.nn.Linear(1, 1, key=jax.random.key(0))}, "holds NaN"),
}


@pytest.mark.parametrize(("parts", "sentence"), FORMS.values(), ids=FORMS.keys())
def test_a_part_that_answers_in_another_form_is_named(parts, sentence):
    if "termination" in parts and isinstance(parts["termination"], eqx.Module):
        parts = {"termination": jax.tree.map(lambda leaf: leaf * jnp.nan, parts["termination"])}
    with pytest.raises(checks.BadData) as refusal:
        imagine_in(integrator(**parts), INITIAL, VISITED, settings=QUICK)
    assert sentence in str(refusal.value)
