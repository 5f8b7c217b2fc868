"""What the audit of a recurrent state-space model of Dreamer's small size takes.

    python -m benchmarks.recurrent

A stand-in in PyTorch with random weights: 256 deterministic numbers moved by a GRU cell, 16
categoricals of 16 classes, heads with one hidden layer of 256, played in Pendulum-v1 for
`--episodes` of `--steps`. The audit has no bounds, since its layers are not known. Prints one
JSON object: seconds on the clock, compilation included, seconds of the processor, and how the
derivatives were found. The aim is at most 120 seconds on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import time

import jax.numpy as jnp
import torch

import paracosm
from paracosm import adapters
from paracosm.core.mdp import Spec

WIDTH, DETERMINISTIC, GROUPS, CLASSES = 256, 256, 16, 16


class SmallDreamer(torch.nn.Module):
    """An RSSM that steps states of its own, with heads, of random weights."""

    def __init__(self, observation: int, action: int) -> None:
        super().__init__()
        stochastic = GROUPS * CLASSES
        self.encoder = _head(observation, WIDTH)
        self.joined = torch.nn.Sequential(
            torch.nn.Linear(stochastic + action, WIDTH), torch.nn.SiLU()
        )
        self.cell = torch.nn.GRUCell(WIDTH, DETERMINISTIC)
        self.prior = _head(DETERMINISTIC, stochastic)
        self.posterior = _head(DETERMINISTIC + WIDTH, stochastic)
        self.reward_head = _head(DETERMINISTIC + stochastic, 1)
        self.actor_head = _head(DETERMINISTIC + stochastic, action)

    def initial(self, batch: int) -> dict[str, torch.Tensor]:
        """The state before anything was seen."""
        weight = self.cell.weight_hh
        classes = weight.new_zeros(batch, GROUPS, CLASSES)
        return {"deter": weight.new_zeros(batch, DETERMINISTIC), "stoch": classes, "logit": classes}

    def img_step(
        self, state: dict[str, torch.Tensor], action: torch.Tensor, sample: bool = True
    ) -> dict[str, torch.Tensor]:
        """The prior after an action."""
        joined = self.joined(torch.cat([state["stoch"].flatten(1), action], dim=1))
        deter = self.cell(joined, state["deter"])
        return self._state(deter, self.prior(deter), sample)

    def obs_step(
        self,
        state: dict[str, torch.Tensor],
        action: torch.Tensor,
        embed: torch.Tensor,
        is_first: torch.Tensor,
        sample: bool = True,
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The posterior after an action and an observation, and the prior.

        Args:
            state, action: Before the step.
            embed: Of the observation.
            is_first: 1 at the start of an episode, `[batch]`.
            sample: Whether it is drawn.
        """
        prior = self.img_step(state, action, sample)
        deter = prior["deter"] * (1 - is_first[:, None])
        logits = self.posterior(torch.cat([deter, embed], dim=1))
        return self._state(deter, logits, sample), prior

    def get_feat(self, state: dict[str, torch.Tensor]) -> torch.Tensor:
        """What the heads read."""
        return torch.cat([state["stoch"].flatten(1), state["deter"]], dim=1)

    def act(self, features: torch.Tensor) -> torch.Tensor:
        """Actions in Pendulum's units."""
        return 2 * torch.tanh(self.actor_head(features))

    def _state(
        self, deter: torch.Tensor, logits: torch.Tensor, sample: bool
    ) -> dict[str, torch.Tensor]:
        logits = logits.reshape(-1, GROUPS, CLASSES)
        drawn = torch.distributions.OneHotCategorical(logits=logits)
        return {
            "deter": deter,
            "stoch": drawn.sample() if sample else drawn.mode,
            "logit": logits,
        }


def _head(inputs: int, outputs: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, WIDTH), torch.nn.SiLU(), torch.nn.Linear(WIDTH, outputs)
    )


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200)
    flags = parser.parse_args()
    torch.manual_seed(0)
    source = paracosm.connect("Pendulum-v1", horizon=flags.steps)
    spec = Spec(3, source.action, jnp.ones(3), flags.steps)
    net = SmallDreamer(3, 1)
    model = adapters.dreamer(
        net, spec, encode=net.encoder, reward=net.reward_head, act=net.act, discount=0.99
    )
    begin = time.perf_counter()
    inside = model.on(
        paracosm.evaluate("Pendulum-v1", model.policy, episodes=flags.episodes, horizon=flags.steps)
    )
    played = time.perf_counter()
    processor = time.process_time()
    diagnosis = paracosm.audit(inside.world, inside.policy, inside.episodes)
    numbers = {
        "memory": model.form.size,
        "play": played - begin,
        "audit": time.perf_counter() - played,
        "processor": time.process_time() - processor,
        "closure": diagnosis.closure,
        "derivatives": inside.world.dynamics.derivatives,
    }
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
