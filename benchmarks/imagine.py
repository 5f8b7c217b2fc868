"""A REINFORCE gradient from imagined rollouts: Paracosm against a plain PyTorch loop, and against
the machine.

    python benchmarks/imagine.py

State 12, action 4, policy 2×64, dynamics and reward 2×200 each, batch 1,024, horizon 50, all tanh,
one network a part, squashed Gaussian policy, leave-one-out baseline, two threads or devices on each
side (or `--threads`). The rounds are interleaved. The loop is written as one would who wants it
fast: no gradient through the rollout, preallocated memory, one log-probability pass over the whole
batch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import pathwise
import torch
from jax.sharding import PartitionSpec as P

from paracosm.core.devices import AXIS, mesh
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.networks import MLP
from paracosm.core.policy import StochasticPolicy, initial_policy
from paracosm.imagination.imagine import policy_gradient

STATE, ACTION, BATCH, HORIZON = 12, 4, 1024, 50
WIDTH, POLICY_WIDTH, STEP, STD, DISCOUNT = 200, 64, 0.1, 0.3, 0.97
SIZES = {"policy": (STATE, POLICY_WIDTH, ACTION), "dynamics": (STATE + ACTION, WIDTH, STATE)}
SIZES["reward"] = (2 * STATE + ACTION, WIDTH, 1)
REPEATS = 3  # calls timed together in a round


def _products(inputs: int, width: int, outputs: int) -> int:
    return inputs * width + width * width + width * outputs


# Backpropagation through the policy repeats its pass once, and costs twice that again.
FLOP = 2 * (
    _products(*SIZES["dynamics"]) + _products(*SIZES["reward"]) + 4 * _products(*SIZES["policy"])
)


class Dynamics(eqx.Module):
    """`s' = s + 0.1 net(s, a)`."""

    network: MLP

    def __call__(self, state, action, key):
        return state + STEP * self.network(jnp.concatenate([state, action]))


class Reward(eqx.Module):
    """`r = net(s, a, s')`."""

    network: MLP

    def __call__(self, state, action, next_state):
        return self.network(jnp.concatenate([state, action, next_state]))[0]


def world() -> MDP:
    """The learned world of the benchmark, of untrained networks."""
    keys = jax.random.split(jax.random.key(0), 5)
    dynamics, reward = (
        MLP(inputs, outputs, width, 2, key)
        for (inputs, width, outputs), key in zip(
            (SIZES["dynamics"], SIZES["reward"]), keys, strict=False
        )
    )
    spec = Spec(STATE, Box(-jnp.ones(ACTION), jnp.ones(ACTION)), jnp.ones(STATE), HORIZON)
    return MDP(
        spec, Dynamics(dynamics), Reward(reward), never, lambda key: jnp.zeros(STATE), DISCOUNT
    )


def visited() -> jax.Array:
    """Start states, `[rows, state]`."""
    return jax.random.normal(jax.random.key(3), (BATCH, STATE))


def in_paracosm() -> tuple[Callable[[], object], float]:
    """A call of the library's own gradient, and its compile time in seconds."""
    imagined, key = world(), jax.random.key(2)
    policy: StochasticPolicy = initial_policy(imagined.spec, key, width=POLICY_WIDTH, std=STD)
    states, for_rollouts = visited(), jax.random.split(key, BATCH)

    def call() -> object:
        return jax.block_until_ready(
            policy_gradient(imagined, policy, states, for_rollouts, horizon=HORIZON)
        )

    began = time.perf_counter()
    call()
    return call, time.perf_counter() - began


def network(inputs: int, width: int, outputs: int) -> torch.nn.Sequential:
    """A perceptron of PyTorch."""
    layers = [
        torch.nn.Linear(inputs, width),
        torch.nn.Tanh(),
        torch.nn.Linear(width, width),
        torch.nn.Tanh(),
    ]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, outputs))


def in_torch() -> Callable[[], object]:
    """The same gradient by hand."""
    policy, dynamics, reward = (network(*SIZES[part]) for part in ("policy", "dynamics", "reward"))
    log_std = torch.nn.Parameter(torch.full((ACTION,), STD).log())
    parameters = [*policy.parameters(), log_std]
    initial = torch.randn(BATCH, STATE)
    states, latents = torch.empty(HORIZON, BATCH, STATE), torch.empty(HORIZON, BATCH, ACTION)
    rewards, to_go = torch.empty(HORIZON, BATCH), torch.empty(HORIZON, BATCH)
    weights = DISCOUNT ** torch.arange(HORIZON)[:, None]

    def call() -> object:
        with torch.no_grad():
            state, std = initial, log_std.exp()
            for t in range(HORIZON):
                latent = torch.addcmul(policy(state), std, torch.randn(BATCH, ACTION))
                action = torch.tanh(latent)
                inputs = torch.cat([state, action], 1)
                after = torch.add(state, dynamics(inputs), alpha=STEP)
                states[t], latents[t], rewards[t] = (
                    state,
                    latent,
                    reward(torch.cat([inputs, after], 1))[:, 0],
                )
                state = after
            later = torch.zeros(BATCH)
            for t in reversed(range(HORIZON)):
                later = rewards[t] + DISCOUNT * later
                to_go[t] = later
            advantage = weights * (to_go - to_go.mean(1, keepdim=True)) * (BATCH / (BATCH - 1))
        z = (latents - policy(states.view(-1, STATE)).view_as(latents)) / log_std.exp()
        log_prob = (-0.5 * z**2 - log_std).sum(-1)
        return torch.autograd.grad((log_prob * advantage).sum() / BATCH, parameters)

    call()
    return call


def seconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Seconds per call."""
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def products() -> dict[str, Callable[[], object]]:
    """A product of two 2048² matrices in single precision, as each library does it best."""
    size = 2048
    ours, theirs = jnp.ones((size, size)), torch.ones(size, size)
    product = jax.jit(lambda a: a @ a)
    cut = jax.shard_map(
        lambda a, b: a @ b, mesh=mesh(size), in_specs=(P(AXIS), P()), out_specs=P(AXIS)
    )
    halves = jax.jit(lambda a: cut(a, a))
    return {
        "XLA, one device": lambda: jax.block_until_ready(product(ours)),
        "XLA, all devices": lambda: jax.block_until_ready(halves(ours)),
        "PyTorch": lambda: theirs @ theirs,
    }


def matrix_rate() -> tuple[str, float]:
    """The best rate of a matrix product on this machine, and whose it is, in GFlop/s."""
    rates = {}
    for name, call in products().items():
        call()
        rates[name] = 2 * 2048**3 / min(seconds(call, 1) for _ in range(8)) / 1e9
    best = max(rates, key=rates.__getitem__)
    return best, rates[best]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of PyTorch and host devices of XLA"
    )
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds")
    arguments = parser.parse_args()
    # Read when JAX first needs a device, which is below.
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={arguments.threads}"
    ours, compiling = in_paracosm()
    torch.set_num_threads(arguments.threads)
    theirs = in_torch()
    best, peak = matrix_rate()
    rounds = [(seconds(ours), seconds(theirs)) for _ in range(arguments.rounds)]
    best, peak = max((best, peak), matrix_rate(), key=lambda pair: pair[1])
    steps = BATCH * HORIZON
    print(f"{'':10} {'steps/s':>12} {'GFlop/s':>9} {'of the best matrix rate':>25}")
    for name, times in zip(("Paracosm", "PyTorch"), zip(*rounds, strict=True), strict=True):
        rate = steps / statistics.median(times)
        print(f"{name:10} {rate:12,.0f} {rate * FLOP / 1e9:9.0f} {rate * FLOP / 1e9 / peak:25.0%}")
    ratio = statistics.median(theirs / ours for ours, theirs in rounds)
    print(
        f"Paracosm is {ratio:.2f}x PyTorch (median of {len(rounds)} interleaved rounds; at least"
        " 1.15 is asked for)"
    )
    print(f"best matrix rate: {peak:.0f} GFlop/s by {best} (at least 50% of it is asked for)")
    print(f"compile time: {compiling:.1f} s (under 5 s is asked for)")
    ours = pathwise.in_paracosm(world(), visited())
    parts = (network(*SIZES[part]) for part in ("dynamics", "reward"))
    theirs = pathwise.in_torch(*parts, torch.randn(BATCH, STATE), ACTION)
    ratio = statistics.median(seconds(theirs) / seconds(ours) for _ in range(arguments.rounds))
    print(
        f"a training step through the world: Paracosm is {ratio:.2f}x PyTorch (median of"
        f" {len(rounds)} interleaved rounds; at least 1.3 is asked for)"
    )


if __name__ == "__main__":
    main()
