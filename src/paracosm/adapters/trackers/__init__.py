"""TensorBoard, Weights & Biases and MLflow as trackers of a run.

Each needs an extra, which is imported when the tracker is made and not before.
"""

from paracosm.adapters.trackers.mlflow import MLflow
from paracosm.adapters.trackers.tensorboard import TensorBoard
from paracosm.adapters.trackers.wandb import Wandb
from paracosm.core.tracking import Several

__all__ = ["MLflow", "Several", "TensorBoard", "Wandb"]
