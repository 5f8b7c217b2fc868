"""What of E3 was chosen once: groups of systems, laws, sizes, and the changes to be tried."""

from __future__ import annotations

from typing import Any

from paracosm.planning.law import Law

GROUPS = {"linear": 30, "lqg": 30, "tanh": 9, "sin": 9, "quadratic": 9}
"""The paper's numbers of systems."""
LAWS = {
    "root": (Law(1.0, 0.5), Law(1.0, 0.5)),
    "norms": (Law(0.34**0.5, 0.11 / 2), Law(90.4**0.5, 0.96 / 2)),
    "printed": (Law(0.34, 0.11), Law(90.4, 0.96)),
}
"""`A` and exponent of both errors, dynamics first: our `N^(-1/2)`, and the paper's fits of E2 as
root mean squares and as it prints them.
"""
SYSTEMS: dict[str, dict[str, Any]] = {
    "linear": {"norms": (0.5, 0.5, 0.5), "discount": 0.9},
    "quadratic": {"norms": (0.3, 0.3, 0.3), "discount": 0.9},
    "lqg": {"norms": (0.205, 0.205, 0.38), "discount": 0.8},
    "lipschitz": {"dynamics": 0.5, "reward": 1.0, "policy": 0.5, "discount": 0.9},
}
"""Spectral norms of A, B and K, or Lipschitz constants; `lipschitz` are those of tanh and sin.

With those of `lqg` γ(‖A‖ + ‖B‖‖K‖) is 0.226, within the paper's 0.224 to 0.228.
"""
BEND = 0.1  # of quadratic dynamics: on the ball of `RADIUS` it adds 0.24 to a slope of 0.3
STATES, ACTIONS, HORIZON = 4, 2, 100  # at γ = 0.9 what is left out is 3e-5 of the return
POINTS, ROUNDS = 33, 6  # of the search for the best ratio: its last grid is 16⁵ times as fine
TIMED_EPISODES = 64  # side by side, so that more is timed than the dispatch of a program
BUDGET, PILOT = 20_000.0, 1_000.0
"""Samples in all, and of a pilot, a twentieth of them."""
RADIUS = 1.2  # of the ball on which constants hold: starts have norm 1
STARTS = DIRECTIONS = 16
"""Over how many a change averages."""
BUDGETS = {200.0: "200", 2e3: "2000", BUDGET: "main", 2e5: "200000", 2e6: "2000000"}
CHANGES = {
    "main": {},
    "norms": {"laws": "norms"},
    "norms, secant": {"laws": "norms", "weights": "secant"},
    "norms, learned": {"laws": "norms", "weights": "learned"},
    "norms, aside": {"laws": "norms", "weights": "aside"},
    "printed": {"laws": "printed"},
    "secant": {"weights": "secant"},
    "learned": {"weights": "learned"},
    "aside": {"weights": "aside"},
    "waves": {"waves": True},
    "starts": {"starts": STARTS},
    "signed": {"criterion": "signed"},
    "rms": {"criterion": "rms"},
    **{name: {"budget": budget} for budget, name in BUDGETS.items() if budget != BUDGET},
}
STEP = 1e-6  # of finite differences: in double precision rounding is then 1e-10 of the slope
