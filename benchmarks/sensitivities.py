"""What sensitivities cost beside one plain imagined evaluation of the same episodes.

    python benchmarks/sensitivities.py

A learned-like world (ensembles of 4 networks 2×64 for dynamics and reward, state 12, action 4), 64
episodes of 200 steps, 64 bits. Asked for: one forward pass along an error at most 4×, one reverse
pass for every step at most 6×. The rounds are interleaved; the ratio is the median over rounds.
"""

from __future__ import annotations

import statistics
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.sensitivities import by_step, directional
from paracosm.core.mdp import MDP, Box, Domain, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import Mode, initial_policy
from paracosm.core.precision import in_double
from paracosm.core.rollout import returns, rollout
from paracosm.learning.parts import LearnedDynamics, LearnedReward

STATE, ACTION, WIDTH, MEMBERS, EPISODES, HORIZON, ROUNDS = 12, 4, 64, 4, 64, 200, 10


def stacked(inputs: int, outputs: int, key: jax.Array) -> MLP:
    """An untrained ensemble."""
    return eqx.filter_vmap(lambda key: MLP(inputs, outputs, WIDTH, 2, key))(
        jax.random.split(key, MEMBERS)
    )


def seconds(call) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    keys = jax.random.split(jax.random.key(0), 5)
    space = Box(-jnp.ones(ACTION), jnp.ones(ACTION))
    spec = Spec(STATE, space, jnp.ones(STATE), HORIZON)
    domain = Domain(-5 * jnp.ones(STATE), 5 * jnp.ones(STATE))
    zero, tenth = jnp.zeros(STATE), jnp.full(STATE, 0.1)
    dynamics = LearnedDynamics(stacked(STATE + ACTION, STATE, keys[0]), space, zero, tenth, domain)
    reward = LearnedReward(
        stacked(2 * STATE + ACTION, 1, keys[1]), space, jnp.zeros(()), jnp.ones(())
    )
    world = MDP(spec, dynamics, reward, never, lambda key: zero, 0.97)
    policy = Mode(initial_policy(spec, keys[2]))
    start = np.asarray(jax.random.normal(keys[3], (EPISODES, STATE)))
    with jax.enable_x64(True):
        world, policy, start = in_double((world, policy, start))
        episode_keys, steps = jax.random.split(keys[4], EPISODES), np.full(EPISODES, HORIZON)

        def error(state, action):
            return 0.01 * jnp.sin(state)

        def reward_error(state, action, after):
            return 0.01 * jnp.cos(state[0])

        calls = {
            "plain evaluation": lambda: returns(
                rollout(world, policy, start, episode_keys, HORIZON).reward, 0.97
            ),
            "along an error (JVP)": lambda: directional(
                world,
                policy,
                start,
                episode_keys,
                dynamics_error=error,
                reward_error=reward_error,
                horizon=HORIZON,
            ),
            "every step (VJP)": lambda: by_step(
                world, policy, start, steps, keys[4], horizon=HORIZON
            ),
        }
        for call in calls.values():
            seconds(call)
        rounds = [{name: seconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    for name in calls:
        ratio = statistics.median(times[name] / times["plain evaluation"] for times in rounds)
        print(f"{name:24} {ratio:6.2f}x")
    print("asked for: at most 4x along an error, at most 6x for every step")


if __name__ == "__main__":
    main()
