"""Refits of one small world of four learned parts, and regressions planted in them: seconds for a
hundred.
"""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing.audit import diagnose
from paracosm.core.estimators import root_mean_square
from paracosm.core.predicted import Bootstrapped, PredictedReturn
from paracosm.real.systems import HalfSpace
from tests.auditing.fits import Fit, real
from tests.auditing.worlds import Shifted
from tests.reporting import report_records as records

ROWS, FEATURES, TRAINING_HORIZON = 800, 40, 10
PARTS = ("reward", "termination", "dynamics", "horizon")
# What is planted in reward and dynamics: refits of `ending` differ more.
_SHIFTS = {"ending": 2.0, "linear": 0.4}


class LevelValue(eqx.Module):
    """One value of every state."""

    level: jax.Array

    def __call__(self, state, progress):
        return self.level + 0.0 * state[0]


def refit(kind, seed, planted=None):
    """The result of a run of a kind of system, `ending` or `linear`, whose parts were fitted with
    this seed; `planted` names the part that is worse than in other refits.
    """
    with jax.enable_x64(True):
        return _refit(kind, seed, planted)


def _refit(kind, seed, planted):
    fit, draws = Fit(kind, seed, rows=ROWS, features=FEATURES), np.random.default_rng(seed)
    size = fit.real.spec.state_size
    bound = 0.0 if planted == "termination" else {"ending": 0.6, "linear": 1e3}[kind]
    end = HalfSpace(jnp.eye(size)[0] + 0.02 * jnp.asarray(draws.normal(size=size)), bound)
    value = LevelValue(jnp.asarray(0.02 * draws.normal() + (3.0 if planted == "horizon" else 0.0)))
    by = {part: jnp.full(size, _SHIFTS[kind] if planted == part else 0.0) for part in PARTS}
    world = fit.world.replace(
        dynamics=Shifted(fit.world.dynamics, by["dynamics"]),
        reward=Shifted(fit.world.reward, by["reward"]),
        termination=end,
    )
    trained = PredictedReturn(
        fit.policy, world, TRAINING_HORIZON, Bootstrapped(world, TRAINING_HORIZON, value)
    )
    diagnosis = diagnose(
        world, fit.policy, fit.episodes, trained, seed=seed, certify=False, dimensions=False
    )
    errors = _held_out(kind, world)
    fits = {
        part: dataclasses.replace(records.part(part), error=error) for part, error in errors.items()
    }
    return records.run(seed=seed, env=kind, diagnosis=diagnosis, fits=fits)


def _held_out(kind, world):
    """Errors on rows some of which were fitted; what counts here is that refits differ."""
    rows = real(kind)[2]
    state, action, after = rows.state[:400], rows.action[:400], rows.next_state[:400]
    changed, paid = _predictions(world, state, action, after)
    off = np.sum((np.asarray(changed) - after) ** 2, axis=1)
    return {
        "dynamics": root_mean_square(off),
        "reward": root_mean_square((np.asarray(paid) - rows.reward[:400]) ** 2),
    }


@eqx.filter_jit
def _predictions(world, state, action, after):
    changed = jax.vmap(world.dynamics, (0, 0, None))(state, action, jax.random.key(0))
    return changed, jax.vmap(world.reward)(state, action, after)
