"""Worlds whose constants are held at ℓ, and what a policy trained in them is worth: the cells of
E8.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

from paracosm.paper.study import Scale
from paracosm.sweep.cells import Cell

MULTIPLES = (0.5, 0.75, 1.0, 1.5, 3.0)
"""ℓ in multiples of the real part's own constant, from what no good model can keep to what hardly
holds one.
"""
FREE = 1e6
"""The multiple of a fit that nothing holds: no network came near it."""
CONSTANTS = {"pendulum": (1.28, 14.2), "tanh": (1.0, 1.0), "linear-quadratic": (0.95, 2.3)}
"""Of the real dynamics and reward: those of tanh, and of linear dynamics, by construction; else the
largest norm of a Jacobian on 3,000 random steps.
"""
DISCOUNT, HORIZON = 0.95, 100
_LARGEST = 308.0  # log10 of the largest double: a bound beyond it is infinite


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is done in a cell.

    Attributes:
        steps: Real steps bought, of random actions.
        width, epochs: Of the networks of dynamics and reward: hidden neurons in each of two layers,
            and epochs at the most.
        training: Steps of training the policy.
        episodes: Real ones that it is evaluated and audited on.
    """

    steps: int = 3000
    width: int = 32
    epochs: int = 200
    training: int = 1000
    episodes: int = 20


SEEDS: dict[Scale, int] = {"quick": 2, "full": 6}
SIZES: dict[Scale, Sizes] = {
    "quick": Sizes(steps=1500, epochs=100, training=400),
    "full": Sizes(),
}


@functools.cache
def _system(name: str) -> Any:
    """The real MDP of this name."""
    import jax

    from paracosm.paper.three_systems import real_system

    return real_system(name, jax.random.key(8), discount=DISCOUNT, horizon=HORIZON)


class _RealData(NamedTuple):
    """Real data and the source that they are of."""

    source: Any
    data: Any
    spec: Any


def _bought(system: str, steps: int, seed: int) -> _RealData:
    from paracosm.real.verbs import connect

    source = connect(_system(system))
    data = source.collect(steps, seed=seed)
    return _RealData(source, data, source.spec(data))


def _world(system: str, multiple: float, bought: _RealData, sizes: Sizes, seed: int) -> Any:
    """The learned world with constants of so many times the real ones at the most.

    Args:
        system: Of `CONSTANTS`.
        multiple: ℓ over the real part's constant.
        bought: What it is learned from.
        sizes: Of the networks.
        seed: Of the fit.
    """
    from paracosm.learning.learn import learn
    from paracosm.learning.lipschitz_control import LipschitzDynamics, LipschitzReward
    from paracosm.learning.settings import FitSettings, LearnSettings

    settings = LearnSettings(fit=FitSettings(width=sizes.width, most_epochs=sizes.epochs))
    of_dynamics, of_reward = (multiple * constant for constant in CONSTANTS[system])
    return learn(
        bought.data,
        bought.spec,
        discount=DISCOUNT,
        seed=seed,
        parts={
            "dynamics": LipschitzDynamics(of_dynamics, settings),
            "reward": LipschitzReward(of_reward, settings),
        },
    )


def _policy(learned: Any, data: Any, sizes: Sizes, seed: int) -> Any:
    """What training in the learned world gives, by gradients through it; the same settings for all
    worlds.

    Args:
        learned: The world.
        data: Where it was learned from, and where imagination starts.
        sizes: Of the networks, and training steps.
        seed: Of the training.
    """
    from paracosm.imagination.imagine import ImagineSettings, imagine
    from paracosm.imagination.pathwise import Pathwise, PathwiseSettings

    loop = ImagineSettings(
        rates=(3e-3, 1e-3), check=50, patience=8, most_steps=sizes.training, horizon=5
    )
    learner = Pathwise(PathwiseSettings(width=sizes.width))
    return imagine(learned, data, learner=learner, seed=seed, settings=loop).policy


def _bounds(
    world: Any, policy: Any, episodes: Any, gap: np.ndarray, brackets: Any
) -> dict[str, float]:
    """log10 of each rung of the ladder over the horizon, not cut by any range; `global` is Lemma 1
    with the worst errors on the episodes.

    Args:
        world, policy: The learned world, and who acted in `episodes`.
        episodes: Real ones.
        gap: Of each episode, for the slack alone.
        brackets: By name.
    """
    from paracosm.auditing.certificates import certificates

    rungs = certificates(world, policy, episodes, gap, brackets)
    return {rung.rung: _log10(rung.value) for rung in rungs}


def _log10(bound: float) -> float:
    return float(np.clip(np.log10(bound), -_LARGEST, _LARGEST)) if bound > 0 else -_LARGEST


def _idle(bought: _RealData, learned: Any, brackets: Any, episodes: int) -> dict[str, float]:
    """Lemma 1 of the policy that does nothing, whose constant is 0 in every world, and its gap.

    Args:
        bought, learned: The real system, and the world.
        brackets: Of the world.
        episodes: How many.
    """
    import jax
    import jax.numpy as jnp

    from paracosm.core.policy import Deterministic
    from paracosm.core.records import Bracket
    from paracosm.core.rollout import rollout
    from paracosm.real.systems import Gain

    world, spec = learned.world, bought.spec
    policy = Deterministic(Gain(jnp.zeros((spec.action.size, spec.state_size))))
    real = bought.source.evaluate(policy, episodes=episodes)
    keys = jax.random.split(jax.random.key(0), episodes)
    imagined = rollout(world, policy, jnp.asarray(real.state[:, 0]), keys, HORIZON)
    weights = DISCOUNT ** np.arange(HORIZON)
    gap = (np.asarray(real.reward) - np.asarray(imagined.reward)) @ weights
    still = Bracket(0.0, 0.0, "certificate", "the action is always the same")
    bounds = _bounds(world, policy, real, gap, {**brackets, "policy": still})
    return {"bound": bounds["global"], "gap": float(gap.mean())}


def held(*, system: str, multiple: float, seed: int, sizes: dict[str, int]) -> dict[str, Any]:
    """A world whose constants are held at a multiple of the real ones, a policy trained in it, and
    its audit.

    Args:
        system: Of `CONSTANTS`.
        multiple: ℓ over the real part's constant; `FREE` for none.
        seed: Of data, fits and training; all ℓ of a system share it.
        sizes: Of `Sizes`.
    """
    from paracosm.auditing.audit import diagnose
    from paracosm.auditing.lipschitz import constants
    from paracosm.core.keys import stage_key

    size, bought = Sizes(**sizes), _bought(system, sizes["steps"], seed)
    learned = _world(system, multiple, bought, size, seed)
    policy = _policy(learned, bought.data, size, seed)
    episodes = bought.source.evaluate(policy, episodes=size.episodes)
    options: dict[str, Any] = {"discount": DISCOUNT, "certify": False, "dimensions": False}
    diagnosis = diagnose(learned.world, policy, episodes, **options)
    gap = diagnosis.gap
    visited = np.asarray(episodes.state)[np.asarray(episodes.alive)][:: HORIZON // 20]
    key = stage_key(seed, "lipschitz")
    brackets = constants.brackets(learned.world, policy, visited, key)
    of_episodes = np.full(size.episodes, gap.total.mean)
    errors = {part: learned.fits[part] for part in ("dynamics", "reward")}
    return {
        "error": {part: fit.error.mean for part, fit in errors.items()},
        "baseline": {part: fit.baseline for part, fit in errors.items()},
        "certified": {name: bracket.upper for name, bracket in brackets.items()},
        "proven": all(bracket.kind == "certificate" for bracket in brackets.values()),
        "bounds": _bounds(learned.world, policy, episodes, of_episodes, brackets),
        "idle": _idle(bought, learned, brackets, size.episodes),
        "gap": {name: getattr(gap, name).mean for name in ("total", "dynamics", "reward")},
        "imagined": diagnosis.imagined_return.mean,
        "real": diagnosis.real_return.mean,
    }


def cells(scale: Scale) -> list[Cell]:
    """For each system and seed all ℓ, the systems one after the other: a worker compiles its
    programs once for each.
    """
    sizes = dataclasses.asdict(SIZES[scale])
    return [
        Cell(
            "paracosm.paper.e8_cells:held",
            {"system": system, "multiple": multiple, "seed": seed, "sizes": sizes},
        )
        for system in CONSTANTS
        for seed in range(SEEDS[scale])
        for multiple in (*MULTIPLES, FREE)
    ]
