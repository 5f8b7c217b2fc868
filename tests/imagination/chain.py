"""A Markov decision process of three states and two actions whose every trajectory can be written
down.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core.mdp import MDP, Discrete, Spec
from paracosm.core.networks import MLP
from paracosm.core.policy import Categorical

HORIZON = 3
STATES, ACTIONS = 3, 2
DISCOUNT = 0.6

_random = np.random.default_rng(5)
NEXT = _random.dirichlet(np.ones(STATES), (STATES, ACTIONS)).astype(np.float32)  # p(s'|s, a)
REWARD = _random.normal(size=(STATES, ACTIONS, STATES)).astype(np.float32)
SPEC = Spec(STATES, Discrete(ACTIONS), jnp.ones(STATES), HORIZON)
POLICY = Categorical(MLP(STATES, ACTIONS, 4, 1, jax.random.key(3)))
START = np.eye(STATES, dtype=np.float32)[0]


def _ends(action, after):
    return (action == 1) & (after == 2)


CHAIN = MDP(
    spec=SPEC,
    dynamics=lambda s, a, key: jax.nn.one_hot(
        jax.random.categorical(key, jnp.log(s @ jnp.asarray(NEXT)[:, a])), STATES
    ),
    reward=lambda s, a, t: jnp.asarray(REWARD)[jnp.argmax(s), a, jnp.argmax(t)],
    termination=lambda s, a, t: _ends(a, jnp.argmax(t)),
    initial=lambda key: jnp.asarray(START),
    discount=DISCOUNT,
)


class Paths(NamedTuple):
    """Every trajectory from the start, `[path, time]`; `chance` is the part of its probability that
    is the world's.
    """

    state: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    alive: np.ndarray
    chance: np.ndarray


def every_path() -> Paths:
    rows = []
    for steps in itertools.product(
        itertools.product(range(ACTIONS), range(STATES)), repeat=HORIZON
    ):
        state, alive, chance, row = 0, True, 1.0, []
        for action, after in steps:
            row.append((state, action, REWARD[state, action, after] if alive else 0.0, alive))
            chance *= NEXT[state, action, after]
            state, alive = after, alive and not _ends(action, after)
        rows.append((*np.array(row, float).T, chance))
    state, action, reward, alive, chance = (np.array(column) for column in zip(*rows, strict=True))
    return Paths(state.astype(int), action.astype(int), reward, alive.astype(bool), chance)


def log_probs(policy: Categorical, paths: Paths) -> jax.Array:
    """`log π(a_t|s_t)`, `[path, time]`."""
    table = jax.vmap(lambda s: jax.nn.log_softmax(policy.network(s)))(jnp.eye(STATES))
    return table[paths.state, paths.action]


def expected_return(policy: Categorical) -> jax.Array:
    """`J_H` by enumeration; an ended path goes on without reward, so its probability is shared
    among its sequels.
    """
    paths = every_path()
    probability = paths.chance * jnp.exp(jnp.sum(log_probs(policy, paths), axis=1))
    return jnp.sum(probability * (paths.reward @ DISCOUNT ** np.arange(HORIZON)))


def plain_objective(policy: Categorical, frozen: Categorical) -> jax.Array:
    """Its gradient at `policy = frozen` is `E Σ_t ∇ log π(a_t|s_t) Σ_{t'≥t} γ^{t'-t} r_{t'}`."""
    paths = every_path()
    probability = paths.chance * jnp.exp(jnp.sum(log_probs(frozen, paths), axis=1))
    later = np.triu(
        DISCOUNT ** (np.arange(HORIZON)[None] - np.arange(HORIZON)[:, None]).astype(float)
    )
    to_go = paths.reward @ later.T
    return jnp.sum(probability[:, None] * paths.alive * to_go * log_probs(policy, paths))
