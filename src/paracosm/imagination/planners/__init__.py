"""Planners: policies that search for their next actions in a world, at every step anew."""

from paracosm.imagination.planners.cem import CEM
from paracosm.imagination.planners.gradient import GradientPlanner
from paracosm.imagination.planners.mppi import MPPI
from paracosm.imagination.planners.planner import Planner, Search

__all__ = ["CEM", "MPPI", "GradientPlanner", "Planner", "Search"]
