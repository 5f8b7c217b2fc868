"""Policies of one's own with random numbers: what acts otherwise in 64 bits, or when asked again,
is told so.
"""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from paracosm.core import checks
from paracosm.core.policy import MarkovPolicy, Policy
from paracosm.loop.auditing import audit
from paracosm.real.systems import pendulum
from paracosm.real.verbs import evaluate

IN_64 = (
    r"in 64 bits, .*, the policy acts otherwise \(in \d+ of 16 steps, by [\d.]+ at most\), as one"
    r" does that draws without a dtype: .* jnp\.float32"
)


class Counting(Policy):
    """Draws by a key that it makes of a counter."""

    dtype: Any = None

    def initial(self):
        return jnp.zeros((), jnp.int32)

    def act(self, carry, state, key):
        key, dtype = jax.random.fold_in(jax.random.key(1), carry), self.dtype or float
        return 0.3 * jax.random.normal(key, (1,), dtype), carry + 1

    def greedy(self):
        return self


class Jittering(MarkovPolicy):
    """Draws by a key that is always the same."""

    def sample(self, state, key):
        return self.mode(state)

    def mode(self, state):
        return 0.3 * jax.random.normal(jax.random.key(1), (1,))


class Coloured(Policy):
    """Its carry draws, and acts a step later."""

    dtype: Any = None

    def initial(self):
        return jnp.zeros(1), jnp.zeros((), jnp.int32)

    def act(self, carry, state, key):
        noise, count = carry
        key = jax.random.fold_in(jax.random.key(1), count)
        drawn = jax.random.normal(key, (1,), self.dtype or float)
        return noise, (0.8 * noise + 0.3 * drawn, count + 1)

    def greedy(self):
        return self


def audited(policy):
    system = pendulum()
    episodes = evaluate(system, policy, episodes=2, horizon=8)
    return audit(system, policy, episodes, certify=False, dimensions=False)


@pytest.mark.parametrize("policy", [Counting(), Jittering()])
def test_a_policy_that_draws_other_numbers_in_64_bits_is_refused(policy):
    with pytest.raises(checks.BadData, match=IN_64):
        audited(policy)


def test_a_policy_whose_carry_draws_other_numbers_in_64_bits_is_refused():
    with pytest.raises(
        checks.BadData,
        match=r"the policy hands on another carry \(in 14 of 16 steps, .* jnp\.float32",
    ):
        audited(Coloured())


@pytest.mark.parametrize("policy", [Counting(jnp.float32), Coloured(jnp.float32)])
def test_a_policy_that_draws_in_32_bits_is_audited(policy):
    assert abs(audited(policy).gap.total.mean) < 1e-4
