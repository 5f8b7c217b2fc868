"""Realistic records: a pendulum whose learned reward is wrong, and variations of it."""

import dataclasses

import numpy as np

from paracosm.core.estimators import mean
from paracosm.core.records import (
    Advice,
    Baselines,
    Bracket,
    CauseByStep,
    Certificate,
    Diagnosis,
    DynamicsByDimension,
    Estimate,
    Finding,
    Gap,
    HorizonParts,
    NextStep,
    Overlay,
    PartFit,
    Plausibility,
    Reference,
    Remarks,
    Training,
    TrainingVerdict,
    Verdict,
    Weights,
)
from paracosm.core.records.discount import DiscountChoice, DiscountReason
from paracosm.core.records.results import Comparison, Purchases, RunResult

STEPS = 200
CAUSES = ("reward", "termination", "dynamics")
VERDICT = (
    "The policy earns −134 in the real world; imagination promised 9.7 less, and the reward model"
    " is to blame."
)


def estimate(center: float, spread: float, n: int = 20, seed: int = 0) -> Estimate:
    draws = np.random.default_rng([seed, n]).normal(size=n)
    bounds = None if spread else (center, center)  # nothing is left to chance
    return mean(center + spread * (draws - draws.mean()), bounds=bounds)


def overlay(seed: int, dimensions: int = 3, steps: int = STEPS, stop: int | None = None) -> Overlay:
    rng, time = np.random.default_rng(seed), np.arange(steps + 1)[:, None]
    phase = rng.uniform(0, 6, dimensions)
    real = np.cos(0.08 * time * (1 + 0.3 * np.arange(dimensions)) + phase) * np.exp(-time / 90)
    drift = np.cumsum(rng.normal(0, 0.006, real.shape), 0) * np.linspace(0.2, 1.6, dimensions)
    rows = [tuple(map(tuple, values.tolist())) for values in (real, (real + drift)[:stop])]
    return Overlay(*rows)


def causes(terms: dict[str, float]) -> dict[str, CauseByStep]:
    rng, shape = np.random.default_rng(3), np.exp(-np.arange(STEPS) / 45)
    signed = {name: term * shape / shape.sum() for name, term in terms.items()}
    noise = {
        name: np.abs(rng.normal(0, abs(term) / 150 + 0.002, STEPS)) * shape
        for name, term in terms.items()
    }
    return {
        name: CauseByStep(tuple(signed[name]), tuple(np.abs(signed[name]) + noise[name]))
        for name in terms
    }


def dimensions(means: tuple[float, ...], total: float) -> DynamicsByDimension:
    steps = [causes({"dynamics": mean})["dynamics"] for mean in means]
    left = estimate(total - sum(means), 0.05)
    return DynamicsByDimension(
        tuple(estimate(m, 0.3, seed=i) for i, m in enumerate(means)), tuple(steps), left, 4000
    )


def diagnosis(**changes) -> Diagnosis:
    gap = Gap(
        real=estimate(-134.2, 71),
        predicted=estimate(-143.9, 74),
        total=estimate(9.7, 4.1),
        reward=estimate(9.1, 3.9),
        termination=estimate(0, 0),
        dynamics=estimate(0.6, 1.9),
        horizon=Estimate(0.0, 0.0, 0.0, 20, "0 by definition"),
    )
    training = Gap(
        real=estimate(-86.4, 40),
        predicted=estimate(-93.27, 43),
        total=estimate(6.84, 4.1),
        reward=estimate(6.72, 3.9),
        termination=estimate(0, 0),
        dynamics=estimate(0.51, 1.9),
        horizon=estimate(-0.39, 0.6),
    )
    record = Diagnosis(
        gap=gap,
        gap_training=training,
        discount=1.0,
        training_discount=0.98,
        horizon=STEPS,
        training_horizon=50,
        causes=causes({name: getattr(gap, name).mean for name in CAUSES}),
        real_return=estimate(-134.2, 71),
        imagined_return=estimate(-143.9, 74),
        reference=Reference(
            "random actions",
            estimate(-1204, 310),
            (-16.2, 0.0),
            (-1.0, -1.0, -8.0),
            (1.0, 1.0, 8.0),
        ),
        plausibility=Plausibility(20, (-3240.0, 0.0), 0, 0, None, 1.1, 31),
        mode_versus_sampled=estimate(4.31, 9.1),
        baselines=Baselines(
            dynamics=0.0121,
            mean_next_state=1.04,
            persistence=0.21,
            reward=0.131,
            zero_reward=1.92,
            mean_reward=0.98,
        ),
        informative_horizon=87,
        data_edge_share=0.0213,
        closure=2.3e-5,
        missed=1.4e-4,
        precision="observations in 32 bits",
        other_actions=0,
        real_steps=4000,
        audited_steps=4000,
        imagined_steps=804_000,
        imagination=None,
        overlays=tuple(overlay(seed) for seed in range(3)),
        dynamics_by_dimension=dimensions((0.34, 0.05, 0.21), 0.6),
        horizon_parts=HorizonParts(bootstrap=estimate(-0.35, 0.5), edge=estimate(-0.04, 0.2)),
        orders=None,
        effective_episodes=None,
        weights=(
            Weights(
                3.2, 0.9, "root mean square", 0.98, STEPS, "realised: along the measured errors"
            ),
            Weights(
                41.0,
                48.1,
                "root mean square",
                0.98,
                STEPS,
                "steepest: for errors that never cancel",
            ),
        ),
        lipschitz={
            "dynamics": Bracket(1.31, 1.92, "certificate", "network bound"),
            "policy": Bracket(2.4, 3.9, "estimate", "the largest seen"),
        },
        contraction=Bracket(1.1, 2.3, "certificate", "discount times the closed loop"),
        certificates=(
            Certificate("global", "certificate", 8.1e14, 1.2e14, "proven constants"),
            Certificate("trajectory", "estimate", 61.0, 8.9, "the constants are sampled"),
        ),
        findings=(Finding("reward timing", "reward", sentence="Rewards are recorded 1 step off."),),
        valid=True,
        decision=Verdict("explained", 0.067, lead="reward", sign=1, lead_share="most"),
        decision_training=TrainingVerdict(
            Verdict("explained", 0.073, lead="horizon", sign=1, lead_share="most"), True, 149, None
        ),
        advice=Advice("reward", half_by=31, most_by=120, first="reward", half_widths=2.3),
        remarks=Remarks(None, None, "actions", None, ()),
        verdict=VERDICT,
        verdict_training="The verdict on what training believed is another: there the training"
        " horizon is to blame.",
        explanation="Half of its size comes in the first 31 steps.",
        explanation_training="Of its horizon term -0.35 is the value that ended its rollouts.",
        next_step=NextStep("purchase", "reward"),
        next="buy reward labels where the policy goes.",
    )
    return dataclasses.replace(record, **changes)


def part(name: str, epochs: tuple[int, ...] = (118, 131, 97, 140, 122), **changes) -> PartFit:
    rng, count = np.random.default_rng(len(name)), max(epochs)
    curve = 0.4 * np.exp(-np.arange(count) / 14) + 0.0021 + np.abs(rng.normal(0, 2e-4, count))
    fit = PartFit(
        part=name,
        origin="learned",
        rows=5000,
        held_out=500,
        error=estimate(0.0135, 0.02, n=500),
        members=(0.0151, 0.0148, 0.0163, 0.0142, 0.0155),
        baseline=1.03,
        unit="scaled states, root mean square",
        epochs=epochs,
        curve=tuple(curve),
    )
    return dataclasses.replace(fit, **changes)


def known(name: str) -> PartFit:
    return PartFit(name, "known", 0, 0, None, (), None, "share of rows", (), ())


def training(final: float = -143.9, points: int = 60, **changes) -> Training:
    step = np.arange(points) * 10
    returns = (
        -1250 * np.exp(-step / 90)
        + final
        + 25 * np.random.default_rng(points).normal(size=points) * np.exp(-step / 200)
    )
    done = Training(
        step=tuple(step.tolist()),
        imagined_return=tuple(returns.tolist()),
        entropy=tuple((1.4 * np.exp(-step / 300) - 0.2).tolist()),
        imagined_steps=30_720_000,
        edge_share=0.018,
        horizon=50,
        weighting="without the discount before each term",
        baseline="learned value",
        stop="the imagined return was on a plateau for 100 steps",
    )
    return dataclasses.replace(done, **changes)


def run(**changes) -> RunResult:
    result = RunResult(
        env="Pendulum-v1",
        seed=0,
        purchases=Purchases(5000, 1000, 9000, 1.0, 0.25),
        fits={
            "dynamics": part("dynamics"),
            "reward": part(
                "reward", unit="reward, root mean square", rows=1000, held_out=100, baseline=1.94
            ),
            "termination": known("termination"),
        },
        trainings=(training(),),
        diagnosis=diagnosis(),
        real_steps_during_imagination=0,
        seconds={"collect": 1.9, "learn": 14.2, "imagine": 11.4, "audit": 2.1},
        configuration={
            "transitions": "5000",
            "reward_labels": "1000",
            "rounds": "1",
            "hidden": "200, 200",
            "members": "5",
        },
        machine={"python": "3.12.4", "jax": "0.10.2", "devices": "2 × cpu"},
        decisions=(),
        discount=DiscountChoice(0.98, DiscountReason.GIVEN, 200),
        warnings=("Only 1,000 of 5,000 transitions carry a reward label.",),
    )
    return dataclasses.replace(result, **changes)


def comparison() -> Comparison:
    better = dataclasses.replace(
        diagnosis(), real_return=estimate(-121, 12), imagined_return=estimate(-122, 11)
    )
    worse = dataclasses.replace(
        diagnosis(), real_return=estimate(-612, 71), verdict="The dynamics are to blame."
    )
    small_run = run(
        diagnosis=worse,
        purchases=Purchases(300, 5000, 5300, 1.0, 0.25),
        configuration={"transitions": "300"},
    )
    return Comparison(
        {
            "runs/pendulum": run(),
            "runs/labels": run(diagnosis=better, seed=1),
            "runs/few": small_run,
        }
    )
