"""The audit of a world model of TD-MPC2's default size: 512 latents, layers of 512, five Q.

    python -m benchmarks.tdmpc2 [--episodes 5] [--steps 100] [--planner]

A stand-in of the same layers and sizes with random weights, in Pendulum-v1. Its policy `pi` plays
and is audited without bounds and without the split by state dimension; with `--planner` its planner
is, at TD-MPC2's settings (512 plans, 6 iterations), of which `--most-imagined-steps` are audited.
Under 120 s on 2 cores is asked for, of `pi`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import types

import jax.numpy as jnp
import torch
from torch import nn

import paracosm
from paracosm import adapters as foreign

CFG = types.SimpleNamespace(
    obs="state", obs_shape={"state": (3,)}, action_dim=1, episode_length=200, multitask=False,
    episodic=False, mpc=False, enc_dim=256, mlp_dim=512, latent_dim=512, simnorm_dim=8, num_q=5,
    num_bins=101, vmin=-10, vmax=10, discount_denom=5, discount_min=0.95, discount_max=0.995,
    horizon=3, num_samples=512, num_elites=64, num_pi_trajs=24, iterations=6, temperature=0.5,
    min_std=0.05, max_std=2,
)  # fmt: skip


class Simplices(nn.Module):
    """Latent states as groups of chances."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (-1, CFG.simnorm_dim)).softmax(-1).flatten(-2)


def network(inputs: int, hidden: tuple[int, ...], outputs: int, last: nn.Module | None = None):
    """Layers as TD-MPC2's: linear, normalised, Mish; the last one linear, or as a latent state."""
    sizes, layers = (inputs, *hidden), []
    for width, following in itertools.pairwise(sizes):
        layers += [nn.Linear(width, following), nn.LayerNorm(following), nn.Mish()]
    layers.append(nn.Linear(sizes[-1], outputs))
    return nn.Sequential(*layers, *([] if last is None else [nn.LayerNorm(outputs), last]))


class SizedModel(nn.Module):
    """The methods of TD-MPC2's `WorldModel`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        z, joint, wide = CFG.latent_dim, CFG.latent_dim + CFG.action_dim, (CFG.mlp_dim,) * 2
        self.encoder = network(3, (CFG.enc_dim,), z, Simplices())
        self.dynamics = network(joint, wide, z, Simplices())
        self.rewards = network(joint, wide, CFG.num_bins)
        self.prior = network(z, wide, 2 * CFG.action_dim)
        self.qs = nn.ModuleList(network(joint, wide, CFG.num_bins) for _ in range(CFG.num_q))

    def encode(self, obs: torch.Tensor, task: None) -> torch.Tensor:
        return self.encoder(obs)

    def next(self, z: torch.Tensor, a: torch.Tensor, task: None) -> torch.Tensor:
        return self.dynamics(torch.cat([z, a], -1))

    def reward(self, z: torch.Tensor, a: torch.Tensor, task: None) -> torch.Tensor:
        return self.rewards(torch.cat([z, a], -1))

    def pi(self, z: torch.Tensor, task: None):
        mean, raw = self.prior(z).chunk(2, -1)
        log_std = -10 + 6 * (raw.tanh() + 1)
        drawn = mean + log_std.exp() * torch.randn_like(mean)
        return drawn.tanh(), {"mean": mean.tanh(), "log_std": log_std}

    def Q(  # noqa: N802
        self, z: torch.Tensor, a: torch.Tensor, task: None, return_type: str = "min"
    ) -> torch.Tensor:
        return torch.stack([q(torch.cat([z, a], -1)) for q in self.qs])


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--planner", action="store_true")
    parser.add_argument("--most-imagined-steps", type=int)
    flags = parser.parse_args()
    box = paracosm.Box(jnp.array([-2.0]), jnp.array([2.0]))
    spec = paracosm.Spec(3, box, jnp.ones(3), flags.steps)
    began = time.perf_counter()
    model = foreign.tdmpc2(SizedModel(), CFG, spec, mpc=flags.planner)
    episodes = paracosm.evaluate(
        "Pendulum-v1", model.policy, episodes=flags.episodes, horizon=flags.steps
    )
    played = time.perf_counter()
    inside = model.on(episodes)
    most = flags.most_imagined_steps
    options = {} if most is None else {"most_imagined_steps": most}
    diagnosis = paracosm.audit(
        inside.world, inside.policy, inside.episodes, certify=False, dimensions=False, **options
    )
    seconds = {"play": played - began, "audit": time.perf_counter() - played}
    numbers = {"closure": diagnosis.closure, "audited steps": diagnosis.audited_steps}
    print(
        json.dumps({**{name: round(duration, 1) for name, duration in seconds.items()}, **numbers})
    )


if __name__ == "__main__":
    main()
