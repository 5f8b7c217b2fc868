"""What a finished run says about what to buy next: learning curves, weights and gradient noise,
from its own data.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from paracosm.auditing import ladder
from paracosm.auditing.attribution import attribute
from paracosm.auditing.lipschitz import constants
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.regions import regions_of
from paracosm.auditing.sensitivities import NORM
from paracosm.auditing.subject import AuditSubject
from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.files import Unwritable, atomic_write, read_record
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy, StochasticPolicy, markov
from paracosm.core.precision import in_double
from paracosm.core.progress import Progress, silent
from paracosm.core.records import Weights
from paracosm.core.records.decisions import Bought, Curve, GradientNoise, Measurements
from paracosm.core.records.reasons import Caveat, CaveatKind, Route
from paracosm.core.records.regions import StateRegions
from paracosm.imagination.gradient_noise import gradient_noise
from paracosm.imagination.policy_gradient import Baseline, Weighting
from paracosm.learning.curves import HELD_OUT, VISITED, MeasuredCurve, Refit, learning_curve
from paracosm.loop.assisting import assisted_return_of_run
from paracosm.loop.config import RunConfig
from paracosm.loop.load import Run, load
from paracosm.planning.plan import PLANNED_PARTS
from paracosm.reporting import caveat_words

FILE = "measured.json"
_SEEDS = 3  # refits of each size, so that noise between seeds shows
_MOST_IMAGINED_STEPS = 100_000  # for each refit's dynamics term
_MOST_OF_REGIONS = 1_000_000  # for the terms by region: a few seconds on two cores
_ALIKE = 2.0  # errors on two kinds of states that differ by a smaller factor are alike
_OTHER_FITS = (
    "The curves are of networks that predict means and are fitted anew at each size; the world of"
    " this run is one of wider networks, Gaussian ones for the dynamics, and its errors may be"
    " others. Measure curves of your own fits for a plan that rests on their size (paracosm plan"
    " CURVES.csv)."
)
_GRADIENT_STARTS = 4096  # of the imagined rollouts by which gradient noise is measured


def measure(
    path: str | Path, *, weights: str = "realised", trust: bool = False, progress: Progress = silent
) -> Measurements:
    """What a plan needs to know, measured from a run once and kept in its directory.

    Curves are refits on nested subsets of the run's data, their error taken on the run's evaluation
    episodes: on the states that the policy visits. The weights are those that the audit realised;
    beside them the steepest, those fitted to the audit's own terms of the refits, and on request
    the ones of global Lipschitz constants.

    Args:
        path: The run directory.
        weights: Which route to the weights goes first: `realised`, `steepest`, `fitted` or
            `global`.
        trust: Whether code that the run names may be imported.
        progress: Told of each stage.

    Raises:
        BadArgument: no weights of that name; code that the run names and that is not trusted.
        BadData: a part of the run was given, not learned; too little data; constants that bound
            nothing; an audit that has no such weights.
        Missing: no run is there, or it is not finished.
    """
    checks.one_of("weights", weights, tuple(route.value for route in Route))
    run = load(path, trust=trust)
    file = run.path / FILE
    if file.is_file():
        record = read_record(Measurements, file)
    else:
        record = _measure_run(run, progress)
        # The file only spares the next plan the measuring.
        with contextlib.suppress(Unwritable), atomic_write(file) as part:
            part.write_text(record.to_json(), encoding="utf-8")
    routes = (_global_weights(run), *record.weights) if weights == Route.GLOBAL else record.weights
    first = [route for route in routes if route.route == weights]
    if not first:
        names = ", ".join(route.route for route in routes if route.route)
        raise checks.BadData(f"the run's audit has no {weights} weights; there are {names}.")
    rest = (route for route in routes if route not in first)
    return dataclasses.replace(record, weights=(*first, *rest))


def episode_deviation(
    path: str | Path, discount: float, *, trust: bool = False, progress: Progress = silent
) -> float:
    """The standard deviation of an episode's return, what imagination's help leaves of it.

    With imagined returns as control variate a mean of real ones varies less (`assisted_return`);
    the deviation is the one of plain episodes that would vary as much.

    Args:
        path: The run directory, whose evaluation episodes are taken.
        discount: Of the returns.
        trust: Whether code that the run names may be imported.
        progress: Told that it begins.

    Raises:
        BadData: all episodes had one and the same return.
    """
    run = load(path, trust=trust)
    progress("spread of returns", 0, 1)
    total = run.episodes.returns(discount)
    if np.ptp(total) == 0:
        raise checks.BadData(
            f"the {len(total)} evaluation episodes of the run in {run.path} had one and the same"
            " return, which does not tell how many more are needed; plan without --episodes."
        )
    return float(np.std(total, ddof=1) * np.sqrt(_variance_left(run, discount)))


def _variance_left(run: Run, discount: float) -> float:
    """The share of the variance that imagination leaves; all of it where the run has no assisted
    return.
    """
    assisted = assisted_return_of_run(run, discount=discount)
    return 1.0 if assisted is None else assisted.factor


def gradient_noise_of_run(
    path: str | Path,
    *,
    weighting: Weighting | None = None,
    trust: bool = False,
    progress: Progress = silent,
) -> GradientNoise:
    """`Var₁` and Q of the gradient that trained a run's policy: of rollouts, baseline and λ-returns
    as they were.

    Args:
        path: The run directory.
        weighting: Of the gradient's terms in time; its training's if not given.
        trust: Whether code that the run names may be imported.
        progress: Told that it begins.

    Raises:
        BadArgument: another learner than REINFORCE trained the policy, or none did.
    """
    run = load(path, trust=trust)
    imagined, training = run.imagined, run.result.trainings[-1]
    if imagined.value is None or not isinstance(imagined.policy, StochasticPolicy):
        plans = run.config.planner is not None
        how = "plans and trained no policy" if plans else f"was trained by {run.config.learner}"
        raise checks.BadArgument(
            f"the run in {run.path} {how}; the gradient noise that is measured is REINFORCE's, of a"
            " run with --learner reinforce."
        )
    progress("gradient noise", 0, 1)
    return gradient_noise(
        imagined.trained_in,
        imagined.policy,
        _gradient_starts(run),
        stage_key(run.config.seed, "gradient noise"),
        horizon=training.horizon,
        weighting=weighting or ("discounted" if training.weighting == "discounted" else "plain"),
        value=imagined.value,
        baseline=cast(Baseline, training.baseline),
        trace=run.config.imagine.trace,
    )


def _gradient_starts(run: Run) -> jax.Array:
    """Initial and visited states, as often as training starts in either."""
    rng = np.random.default_rng(run.config.seed)
    visited_starts = round(run.config.imagine.visited * _GRADIENT_STARTS)
    initial = rng.choice(run.data.initial, _GRADIENT_STARTS - visited_starts)
    visited = rng.choice(np.asarray(run.data.transitions.state), visited_starts)
    return jnp.asarray(np.concatenate([initial, visited]))


def _measure_run(run: Run, progress: Progress) -> Measurements:
    """The measurements of a run, its realised weights first."""
    policy = markov(run.policy)
    for part in PLANNED_PARTS:
        origin = run.result.fits[part].origin
        if origin != "learned":
            raise checks.BadData(
                f"the run's {part} is {origin}, not learned; a budget is split between two that"
                " are."
            )
    visited = Dataset.from_trajectory(run.episodes)
    curves = {part: _measured_curve(part, run, visited, progress) for part in PLANNED_PARTS}
    progress("weights", 0, 1)
    refits = {part: curve.refits for part, curve in curves.items()}
    routes = (
        *run.result.diagnosis.weights,
        fitted_weights(run.world, policy, run.episodes, refits),
    )
    regions, why_no_regions = regions_of_run(run, progress)
    return Measurements(
        curves={part: curve.curve for part, curve in curves.items()},
        collected={part: curve.by_states[HELD_OUT] for part, curve in curves.items()},
        weights=routes,
        owned={"dynamics": len(run.data.transitions), "reward": len(run.data.labels)},
        cost_dynamics=run.result.purchases.price_transition,
        cost_reward=run.result.purchases.price_reward_label,
        warnings=(
            *caveat_words.sentences(
                caveat
                for part in PLANNED_PARTS
                if (caveat := _caveat_of_states(part, curves[part]))
            ),
            *why_no_regions,
            *_other_fits(run.config),
        ),
        regions=regions,
    )


def _other_fits(config: RunConfig) -> tuple[str, ...]:
    """The warning that the curves are of other networks than the world's, where a run's learner
    has fits of its own.
    """
    return (_OTHER_FITS,) if config.learner == "pathwise" else ()


def regions_of_run(
    run: Run, progress: Progress = silent
) -> tuple[StateRegions | None, tuple[str, ...]]:
    """Terms by region of the visited states; where these cannot be told, None and the sentence
    why.
    """
    progress("regions", 0, 1)
    key = stage_key(run.config.seed, "regions")
    try:
        regions = regions_of(
            run.world,
            markov(run.policy),
            run.episodes,
            run.data.transitions,
            key,
            most_imagined_steps=_MOST_OF_REGIONS,
        )
    except checks.BadData as error:
        return None, (f"Where to buy is not known: {error}",)
    return regions, ()


def _measured_curve(part: Bought, run: Run, visited: Dataset, progress: Progress) -> MeasuredCurve:
    """A part's learning curve.

    Args:
        part: Of the world.
        run: The run whose data are learned from.
        visited: The evaluation episodes, on which the error is taken.
        progress: Told after each refit.
    """
    name = f"curve of {part}"
    progress(name, 0, _SEEDS)
    return learning_curve(
        part,
        run.data,
        run.world.spec,
        visited=visited,
        seeds=_SEEDS,
        seed=run.config.seed,
        settings=run.config.learn,
        progress=lambda done, total: progress(name, done, total),
    )


def _caveat_of_states(part: Bought, measured: MeasuredCurve) -> Caveat | None:
    """The caveat that the error on visited states is another than that on collected ones, both at
    the most samples; None where the two are alike.
    """
    visited = _error_at_most_samples(measured.by_states[VISITED])
    collected = _error_at_most_samples(measured.by_states[HELD_OUT])
    ratio = visited / collected
    if 1 / _ALIKE < ratio < _ALIKE:
        return None
    numbers = {"visited": visited, "collected": collected}
    return Caveat(CaveatKind.STATES_PART, part, numbers)


def _error_at_most_samples(curve: Curve) -> float:
    """The mean error of a curve at its largest number of samples."""
    most = max(anchor.samples for anchor in curve.anchors)
    return float(np.mean([anchor.error for anchor in curve.anchors if anchor.samples == most]))


def fitted_weights(
    world: MDP, policy: MarkovPolicy, episodes: Trajectory, refits: Mapping[str, Sequence[Refit]]
) -> Weights:
    """Weights from the audit's own terms: of each refit in place of its part, `|mean term| = κ
    error` in least squares.

    The errors are those on the policy's states. Terms of single refits scatter, so all are pooled.

    Args:
        world: The learned world.
        policy: Its mode is what the episodes are of.
        episodes: Real ones, `[episode, time, …]`.
        refits: Of each part, each with its errors on visited states.
    """
    slopes = {}
    for part, models in refits.items():
        errors = np.array([refit.errors[VISITED] for refit in models])
        terms = np.array(
            [
                abs(_mean_term(world.replace(**{part: refit.part}), policy, episodes, part))
                for refit in models
            ]
        )
        slopes[part] = float(np.sum(terms * errors) / np.sum(errors**2))
    return Weights(
        dynamics=slopes["dynamics"],
        reward=slopes["reward"],
        norm=NORM,
        discount=world.discount,
        horizon=episodes.alive.shape[1],
        origin="fitted: the audit's terms of refits against their errors",
        route=Route.FITTED,
    )


def _mean_term(world: MDP, policy: MarkovPolicy, episodes: Trajectory, part: str) -> float:
    """The part's mean term of the gap, discounted.

    Args:
        world, policy, episodes: As `fitted_weights` has them.
        part: Whose term it is.
    """
    key = stage_key(0, "terms of refits")
    with jax.enable_x64(True):
        world, played, episodes = in_double(
            (world, policy.greedy(), jax.tree.map(np.asarray, episodes))
        )
        predictions = predict_steps(world, played, episodes, key, as_played=policy.greedy())
        if part == "reward":
            errors = np.where(
                episodes.alive, episodes.reward - np.asarray(predictions.at_real.reward), 0.0
            )
            return float(np.mean(errors @ world.discount ** np.arange(errors.shape[1])))
        subject = AuditSubject(world, played, episodes, predictions, key, (world.discount,))
        terms = attribute(subject, most_imagined_steps=_MOST_IMAGINED_STEPS)
    return float(np.mean(terms.dynamics.sum(axis=1)))


def _global_weights(run: Run) -> Weights:
    """The weights of global Lipschitz constants, `κ_rew = Σ_{t<H} γ^t` and
    `κ_dyn = Σ_{t<H} γ^t (n + (m + n c) (1 + c + … + c^{t−1}))`, with `c = L_f (1 + L_π)`,
    `m = L_r (1 + L_π)` and `n` the reward's constant in the next state: finite where `γ c ≥ 1` too.
    """
    world, policy, horizon = run.world, markov(run.policy), run.episodes.alive.shape[1]
    states = np.asarray(run.episodes.state)[np.asarray(run.episodes.alive)]
    with jax.enable_x64(True):
        brackets = constants.brackets(
            *in_double((world, policy)), states, stage_key(run.config.seed, "weights")
        )
        uppers = ladder.Constants(
            *(float(brackets[name].upper) for name in ladder.Constants._fields)
        )
        loop = ladder.closed(uppers, "global")
        cost = [
            float(ladder.total(ladder.uniform(ladder.worst(*unit, horizon), loop), world.discount))
            for unit in ((1.0, 0.0), (0.0, 1.0))
        ]
    if not np.isfinite(cost).all():
        raise checks.BadData(
            f"the global constants let a unit of dynamics error cost {cost[0]:.3g} over {horizon}"
            " steps; such weights split nothing, and realised ones are needed."
        )
    return Weights(
        dynamics=cost[0],
        reward=cost[1],
        norm=NORM,
        discount=world.discount,
        horizon=horizon,
        origin="global: Lipschitz constants over all states (rung 1)",
        route=Route.GLOBAL,
    )
