"""How well a latent world of E9 predicts, how straight its paths are, and the bounds on that."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy import stats

from paracosm.auditing.lipschitz import constants
from paracosm.core.mdp import Spec
from paracosm.core.precision import in_double
from paracosm.core.records import Bracket
from paracosm.core.types import Array
from paracosm.learning import straightness
from paracosm.learning.latent.joint import LatentNetworks

ROUNDING = 1e-9  # of curvatures in double precision, where velocities are small too
_STILL = 1e-5  # features in single precision: what moves less has no direction


@eqx.filter_jit
def features_of(networks: LatentNetworks, pictures: Array) -> Array:
    """Features of pictures `[episode, time, pixels]`."""
    return jax.vmap(jax.vmap(networks.encoder.embedding))(pictures)


@eqx.filter_jit
def imagined(
    networks: LatentNetworks, first: Float[Array, "episode features"], actions: Array
) -> Float[Array, "episode _ features"]:
    """Paths of the latent world from first features under actions `[episode, time, action]`, the
    first features included.
    """

    def path(first: Array, actions: Array) -> Array:
        def step(state: Array, action: Array) -> tuple[Array, Array]:
            after = networks.step(state, state, action)[0]
            return after, after

        return jnp.concatenate([first[None], jax.lax.scan(step, first, actions)[1]])

    return jax.vmap(path)(first, actions)


def errors(seen: np.ndarray, predicted: np.ndarray, steps: tuple[int, ...]) -> dict[str, list]:
    """Squared errors of predictions so many steps ahead as a share of the features' variance, and
    those of predicting no change.

    Args:
        seen, predicted: Features, `[episode, time, features]`, of the same first ones.
        steps: How far ahead.
    """
    variance = np.mean(np.var(seen.reshape(-1, seen.shape[-1]), axis=0))
    off = lambda paths, t: float(np.mean((paths - seen[:, t]) ** 2) / variance)  # noqa: E731
    return {
        "error": [off(predicted[:, t], t) for t in steps],
        "persistence": [off(seen[:, 0], t) for t in steps],
    }


def probe(features: np.ndarray, positions: np.ndarray) -> float:
    """R² of positions read linearly from features, `[row, …]` each; the second half is judged."""
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    half = len(rows) // 2
    weights = np.linalg.lstsq(rows[:half], positions[:half], rcond=None)[0]
    off = np.sum((rows[half:] @ weights - positions[half:]) ** 2)
    return float(1 - off / np.sum((positions[half:] - positions[half:].mean(axis=0)) ** 2))


def agreement(features: np.ndarray, goal: np.ndarray, ways: np.ndarray) -> float:
    """Spearman's rank correlation of distances of features to the goal's with lengths of ways."""
    distances = np.sum((features - goal) ** 2, axis=-1)
    return float(np.asarray(stats.spearmanr(distances.ravel(), ways.ravel()))[0])


def brackets(networks: LatentNetworks, features: Array, actions: Array) -> tuple[Bracket, Bracket]:
    """Of the latent velocity `v(z, a)`, to hold everywhere: its constants in `z` and in `a`.

    Args:
        networks: Whose `change` is the velocity.
        features, actions: Where the lower ends are looked for, `[row, …]`.
    """
    size, end = features.shape[1], features.shape[1] + actions.shape[1]
    space: Any = networks.encoder.window.space
    spec = Spec(size, space, jnp.ones(size), 1)
    rows = np.concatenate([features, actions], axis=1, dtype=np.float64)
    with jax.enable_x64(True):
        velocity = in_double(networks.change)
        layers = velocity.as_layers(spec)
        of_state, of_action = (
            constants.bracket(velocity, layers, rows, columns=columns)
            for columns in ((0, size), (size, end))
        )
    return of_state, of_action


def exact_paths(networks: LatentNetworks, first: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """`imagined` in double precision."""
    with jax.enable_x64(True):
        columns = (np.asarray(column, np.float64) for column in (first, actions))
        return np.asarray(imagined(in_double(networks), *columns))


def turns(
    paths: np.ndarray, actions: np.ndarray, smoothness: float, by_action: float
) -> dict[str, Any]:
    """Curvature of latent paths beside Proposition 1's bound with actions, of steps that move.

    A step is `covered` where its η is below 1; `paper` and `sharp` are the shares of covered steps
    that exceed that bound, and `alone` the share of steps whose action changes that exceed the
    paper's bound in ε, which knows no actions. `filled` is the most that a covered step takes of
    the sharp bound.

    Args:
        paths: `[episode, time + 1, features]`.
        actions: `[episode, time, action]`.
        smoothness: ε, the velocity's constant in the features.
        by_action: L_a, its constant in the action.
    """
    with jax.enable_x64(True):
        velocity = np.diff(np.asarray(paths, np.float64), axis=1)
        speed = np.linalg.norm(velocity, axis=-1)
        turning = jax.vmap(jax.vmap(straightness.curvature))
        curvature = np.asarray(turning(velocity[:, :-1], velocity[:, 1:]))
        change = np.linalg.norm(np.diff(actions.astype(np.float64), axis=1), axis=-1)
        first = jnp.asarray(speed[:, :-1])
        eta = np.asarray(straightness.with_actions(smoothness, by_action, change, first))
        paper, sharp = (
            np.asarray(bound(eta)) for bound in (straightness.paper_bound, straightness.sharp_bound)
        )
        alone = float(straightness.paper_bound(smoothness))
    moves = np.minimum(speed[:, :-1], speed[:, 1:]) > _STILL
    held, covered = moves & (change == 0), moves & (eta < 1)
    share = lambda what, of: float(np.sum(what & of) / max(np.sum(of), 1))  # noqa: E731
    return {
        "curvature": float(np.mean(curvature[moves])),
        "held": float(np.mean(curvature[held])) if held.any() else None,
        "steps": int(np.sum(covered)),
        "covered": share(covered, moves),
        "paper": share(curvature > paper + ROUNDING, covered),
        "sharp": share(curvature > sharp + ROUNDING, covered),
        "alone": share(curvature > alone + ROUNDING, moves & (change > 0)),
        "filled": float(np.max(np.where(covered, curvature / sharp, 0.0))),
    }
