"""The records that a page or the terminal can show."""

from paracosm.core.records import Diagnosis
from paracosm.core.records.benchmarks import Benchmark
from paracosm.core.records.deployment import Deployment
from paracosm.core.records.experiments import Experiment
from paracosm.core.records.gate import Gate
from paracosm.core.records.indicators import Indicators
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.results import Comparison, RunResult
from paracosm.reporting.decision_terminal import AnyPlan

Renderable = (
    RunResult
    | Diagnosis
    | Comparison
    | AnyPlan
    | Experiment
    | Benchmark
    | Gate
    | Deployment
    | Ranking
    | Indicators
)
