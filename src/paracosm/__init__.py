"""Paracosm: train policies in learned world models, and find out what the imagined return is wrong
about.

The verbs `collect, learn, imagine, evaluate, audit, calibrate, rank, rank_runs, deploy,
indicators, plan, plan_labels, run, load, compare, export, report, load_data, save_data,
describe_data`, the environments of worlds `as_env, as_vector_env` and the types that all of them
pass are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paracosm import adapters as foreign
    from paracosm import envs
    from paracosm.adapters import trackers
    from paracosm.adapters.environment import as_env, as_vector_env
    from paracosm.core import noise
    from paracosm.core.checks import ParacosmError
    from paracosm.core.data import Dataset, RewardLabels, Trajectory, Transitions
    from paracosm.core.encoder import Encoder, Window, encode
    from paracosm.core.learner import Learner
    from paracosm.core.mdp import MDP, Box, Discrete, Domain, Spec, never
    from paracosm.core.policy import (
        Categorical,
        Deterministic,
        Gaussian,
        MarkovPolicy,
        Mode,
        Policy,
    )
    from paracosm.core.pomdp import POMDP
    from paracosm.core.records import AssistedMean, Calibration, Diagnosis, Estimate, Gap, Weights
    from paracosm.core.records.decisions import Curve, GradientNoise, LabelPlan, MixturePlan, Plan
    from paracosm.core.records.deployment import Deployment
    from paracosm.core.records.refusal import CurveRefused
    from paracosm.core.records.results import Comparison, RunResult
    from paracosm.core.storage import storable
    from paracosm.core.tracking import Tracker
    from paracosm.imagination import caution
    from paracosm.imagination.imagine import Imagined, ImagineSettings, imagine
    from paracosm.learning.learn import Learned, LearnSettings, learn
    from paracosm.learning.part_learner import PartLearner
    from paracosm.loop.assisting import assisted_return
    from paracosm.loop.auditing import audit, calibrate
    from paracosm.loop.deploying import deploy
    from paracosm.loop.describing import describe_data
    from paracosm.loop.exporting import export
    from paracosm.loop.foreign import audit_foreign
    from paracosm.loop.indicators import indicators
    from paracosm.loop.load import Run, load
    from paracosm.loop.plans import plan, plan_labels, plan_mixture
    from paracosm.loop.ranking import rank, rank_runs
    from paracosm.loop.results import compare
    from paracosm.loop.run import run
    from paracosm.planning.fidelity import Fidelity
    from paracosm.real.datasets import load as load_data
    from paracosm.real.datasets import save as save_data
    from paracosm.real.stepping import StepSource
    from paracosm.real.verbs import collect, connect, evaluate
    from paracosm.reporting import write as report

_HOMES = {
    "adapters.environment": ("as_env", "as_vector_env"),
    "loop.assisting": ("assisted_return",),
    "loop.auditing": ("audit", "calibrate"),
    "core.checks": ("ParacosmError",),
    "core.data": ("Dataset", "RewardLabels", "Trajectory", "Transitions"),
    "core.mdp": ("MDP", "Box", "Discrete", "Domain", "Spec", "never"),
    "core.encoder": ("Encoder", "Window", "encode"),
    "core.learner": ("Learner",),
    "core.policy": ("Categorical", "Deterministic", "Gaussian", "MarkovPolicy", "Mode", "Policy"),
    "core.pomdp": ("POMDP",),
    "core.storage": ("storable",),
    "core.tracking": ("Tracker",),
    "learning.part_learner": ("PartLearner",),
    "real.stepping": ("StepSource",),
    "core.records.decisions": ("Curve", "GradientNoise", "LabelPlan", "MixturePlan", "Plan"),
    "core.records.deployment": ("Deployment",),
    "core.records.refusal": ("CurveRefused",),
    "core.records": ("AssistedMean", "Calibration", "Diagnosis", "Estimate", "Gap", "Weights"),
    "core.records.results": ("Comparison", "RunResult"),
    "imagination.imagine": ("Imagined", "ImagineSettings", "imagine"),
    "learning.learn": ("Learned", "LearnSettings", "learn"),
    "loop.deploying": ("deploy",),
    "loop.describing": ("describe_data",),
    "loop.exporting": ("export",),
    "loop.foreign": ("audit_foreign",),
    "loop.indicators": ("indicators",),
    "loop.load": ("Run", "load"),
    "loop.plans": ("plan", "plan_labels", "plan_mixture"),
    "loop.ranking": ("rank", "rank_runs"),
    "loop.results": ("compare",),
    "loop.run": ("run",),
    "planning.fidelity": ("Fidelity",),
    "real.verbs": ("collect", "connect", "evaluate"),
}
_WHERE = {name: (home, name) for home, names in _HOMES.items() for name in names} | {
    "load_data": ("real.datasets", "load"),
    "report": ("reporting", "write"),
    "save_data": ("real.datasets", "save"),
}
_MODULES = {
    "caution": "imagination.caution",
    "envs": "envs",
    "foreign": "adapters",
    "noise": "core.noise",
    "trackers": "adapters.trackers",
}

__all__ = [
    "MDP",
    "POMDP",
    "AssistedMean",
    "Box",
    "Calibration",
    "Categorical",
    "Comparison",
    "Curve",
    "CurveRefused",
    "Dataset",
    "Deployment",
    "Deterministic",
    "Diagnosis",
    "Discrete",
    "Domain",
    "Encoder",
    "Estimate",
    "Fidelity",
    "Gap",
    "Gaussian",
    "GradientNoise",
    "ImagineSettings",
    "Imagined",
    "LabelPlan",
    "LearnSettings",
    "Learned",
    "Learner",
    "MarkovPolicy",
    "MixturePlan",
    "Mode",
    "ParacosmError",
    "PartLearner",
    "Plan",
    "Policy",
    "RewardLabels",
    "Run",
    "RunResult",
    "Spec",
    "StepSource",
    "Tracker",
    "Trajectory",
    "Transitions",
    "Weights",
    "Window",
    "as_env",
    "as_vector_env",
    "assisted_return",
    "audit",
    "audit_foreign",
    "calibrate",
    "caution",
    "collect",
    "compare",
    "connect",
    "deploy",
    "describe_data",
    "encode",
    "envs",
    "evaluate",
    "export",
    "foreign",
    "imagine",
    "indicators",
    "learn",
    "load",
    "load_data",
    "never",
    "noise",
    "plan",
    "plan_labels",
    "plan_mixture",
    "rank",
    "rank_runs",
    "report",
    "run",
    "save_data",
    "storable",
    "trackers",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = importlib.import_module(f"paracosm.{_MODULES[name]}")
    elif name in _WHERE:
        home, attribute = _WHERE[name]
        value = getattr(importlib.import_module(f"paracosm.{home}"), attribute)
    else:
        raise AttributeError(f"module 'paracosm' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
