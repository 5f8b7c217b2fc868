"""What E9 shows beside its claims: set-up, choices, tables and charts; loads no JAX."""

from __future__ import annotations

from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Series, Table
from paracosm.paper.e9_choices import (
    AHEAD,
    COSTS,
    FEATURES,
    HELD_OUT,
    HOLD,
    LONG,
    MAZES,
    PLANNERS,
    SHORT,
    SIDE,
    STEPS,
    VARIED,
    WEIGHTS,
    WIDTH,
)
from paracosm.paper.e9_numbers import LEAST, MOST, FromResult, Worlds, of_paths, reached

STEPS_AHEAD = 10
_PLACE = AHEAD.index(STEPS_AHEAD)
ERROR: FromResult = lambda result: result["error"][_PLACE]  # noqa: E731
PERSISTENCE: FromResult = lambda result: result["persistence"][_PLACE]  # noqa: E731
AGREEMENT: FromResult = lambda result: result["agreement"]  # noqa: E731
_PROBE: FromResult = lambda result: result["probe"]  # noqa: E731
_LOWER: FromResult = lambda result: result["smoothness"][0]  # noqa: E731
_UPPER: FromResult = lambda result: result["smoothness"][1]  # noqa: E731
_BY_ACTION: FromResult = lambda result: result["by_action"][1]  # noqa: E731


def setup(worlds: Worlds) -> tuple[str, ...]:
    """What was done, in sentences."""
    sizes = worlds.sizes
    seeds = len(worlds.results(MAZES[0], LEAST))
    return (
        f"Both mazes of paracosm.envs, pictures of {SIDE} by {SIDE} grey pixels; a step moves the"
        " robot by at most 0.1 along each axis of a floor 2 wide.",
        f"{sizes['episodes']} episodes of {STEPS} steps from anywhere, no reward and no end;"
        f" actions are uniform, and each step holds the last one with a chance of {HOLD:.0%}.",
        f"One fit of encoder and latent dynamics for each of {len(WEIGHTS)} λ, {seeds} seeds and"
        f" both mazes: {FEATURES} features of one picture, networks {WIDTH} wide,"
        f" {sizes['updates']:,} steps of Adam, four steps of prediction; the λ of a seed share"
        " data, first weights and starts.",
        f"{sizes['starts']} episodes a seed and planner, from behind the wall: the plan's worth is"
        " minus the sum of squared distances of predicted features to those of the goal's picture,"
        " and a search at every step starts at the last plan; success is to come within 0.15 of"
        " the goal in the task's horizon (48 and 80 steps). Planners as the library has them by"
        f" default, with plans of {LONG} and of {SHORT} steps.",
        f"Curvature, predictions and bounds are of {HELD_OUT} held-out episodes a seed. ε and L_a"
        " are certified upper ends of the velocity's brackets, to hold everywhere; η = ε + L_a"
        " ‖Δa‖/‖v‖. A step is covered where η < 1.",
        "All settings were chosen once, on worlds fitted without straightening.",
    )


def choices(worlds: Worlds) -> tuple[Choice, ...]:
    """What Wang et al. and the paper leave open, and what changes with it."""

    def rates(variation: str) -> str:
        pairs = [
            "{} {:.0%} and {:.0%}".format(
                planner,
                *(
                    worlds.mean(VARIED, weight, reached(planner, LONG), variation)
                    for weight in (LEAST, MOST)
                ),
            )
            for planner in PLANNERS
        ]
        return f"success with plans of {LONG} steps at λ = {LEAST:g} and {MOST:g}: " + ", ".join(
            pairs
        )

    def accuracy(variation: str) -> str:
        probes, errors = (worlds.mean(VARIED, LEAST, n, variation) for n in (_PROBE, ERROR))
        return (
            f"positions are read linearly with R² {probes:.2f} and predictions {STEPS_AHEAD} steps"
            f" ahead are off by {errors:.2f} of the variance, at λ = {LEAST:g}"
        )

    stopped, drawn = "stop-gradient", "actions drawn anew"
    return (
        Choice(
            "What keeps features predictable.",
            "targets have a derivative, and variance and covariance keep features apart.",
            f"with targets without derivative, as Wang et al. have them, in the {VARIED}:"
            f" {accuracy(stopped)}, against {worlds.mean(VARIED, LEAST, _PROBE):.2f} and"
            f" {worlds.mean(VARIED, LEAST, ERROR):.2f}; {rates(stopped)}.",
        ),
        Choice(
            "The actions that are learned from.",
            f"each is held with a chance of {HOLD:.0%}: paths that turn at every step cannot be"
            " straight.",
            f"drawn anew at every step, in the {VARIED}: {accuracy(drawn)}; {rates(drawn)}.",
        ),
        Choice(
            "How long a plan is.",
            f"{LONG} steps, which get from every start of the two rooms to the goal.",
            f"{SHORT} steps: claims and tables have both.",
        ),
        Choice(
            "How many pictures make a state.",
            "one, which shows the position; a step's change is then a function of state and"
            " action, as Proposition 1 needs it.",
            "not varied.",
        ),
    )


def tables(worlds: Worlds) -> tuple[Table, ...]:
    """Success, what was learned, bounds, and the mazes themselves."""
    return _success(worlds), _learned(worlds), _bounds(worlds), _known(worlds)


def _row(maze: str, weight: float) -> str:
    return f"{maze}, λ = {weight:g}"


def _percent(share: Estimate) -> str:
    return f"{share.mean:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _success(worlds: Worlds) -> Table:
    columns = [(planner, length) for length in (LONG, SHORT) for planner in PLANNERS]
    rows = [
        (
            _row(maze, weight),
            *(_percent(worlds.success(maze, weight, *column)) for column in columns),
        )
        for maze in MAZES
        for weight in WEIGHTS
    ]
    names = (f"{planner}, {length} steps" for planner, length in columns)
    note = (
        "Shares of starts from which the goal is reached, with 95% Student t intervals over seeds,"
        " or Clopper-Pearson over starts where all seeds are alike. Wang et al. report 44% without"
        " and 94% with straightening, and 15 and 65%, on their U-maze."
    )
    return Table("Success of planning", ("maze", *names), tuple(rows), note)


def _learned(worlds: Worlds) -> Table:
    def cells(maze: str, weight: float) -> tuple[str, ...]:
        mean = lambda number: worlds.mean(maze, weight, number)  # noqa: E731
        errors = [
            "{:.3f} | {:.2f}".format(
                *(mean(lambda r, n=name, i=i: r[n][i]) for name in ("error", "persistence"))
            )
            for i in range(len(AHEAD))
        ]
        return (_row(maze, weight), *errors, f"{mean(_PROBE):.3f}", f"{mean(AGREEMENT):.2f}")

    rows = tuple(cells(maze, weight) for maze in MAZES for weight in WEIGHTS)
    names = [f"{steps} ahead" for steps in AHEAD]
    note = (
        "Held-out mean squared errors as shares of the features' variance, behind the bar those of"
        " predicting no change; R² of positions read linearly from features; Spearman's rank"
        " correlation of latent distance to the goal with the length of the shortest way. Means"
        " over seeds."
    )
    columns = ("maze", *names, "position R²", "distance and way")
    return Table("What was learned", columns, rows, note)


def _bounds(worlds: Worlds) -> Table:
    def cells(maze: str, weight: float) -> tuple[str, ...]:
        mean = lambda number: worlds.mean(maze, weight, number)  # noqa: E731
        curvatures = [
            f"{mean(of_paths(paths, 'curvature')):.3f} | {mean(of_paths(paths, 'held')):.4f}"
            for paths in ("positions", "seen", "imagined")
        ]
        epsilon = mean(_UPPER)
        return (
            _row(maze, weight),
            *curvatures,
            f"{mean(_LOWER):.2f} to {epsilon:.2f}",
            f"{mean(_BY_ACTION):.2f}",
            f"{epsilon**2 / (2 * (1 - epsilon)):.2f}" if epsilon < 1 else "none",
            f"{1 - (1 - epsilon**2) ** 0.5:.2f}" if epsilon < 1 else "2",
            f"{mean(of_paths('imagined', 'covered')):.0%}",
        )

    rows = tuple(cells(maze, weight) for maze in MAZES for weight in WEIGHTS)
    columns = (
        "maze",
        "curvature, positions",
        "curvature, encoded",
        "curvature, imagined",
        "ε",
        "L_a",
        "paper's bound at ε",
        "sharp bound at ε",
        "steps η < 1",
    )
    note = (
        "Mean curvature over all steps, and behind the bar over steps whose action is held, where"
        " the bounds at ε hold for imagined paths. ε from the steepest slope seen to the certified"
        " one. Means over seeds; bounds at the mean ε."
    )
    return Table("Curvature and bounds", columns, rows, note)


def _known(worlds: Worlds) -> Table:
    columns = [(planner, length) for length in (LONG, SHORT) for planner in PLANNERS]
    rows = [
        (
            f"{maze}, {cost}",
            *(f"{reached(*column, cost)(worlds.known[maze]):.0%}" for column in columns),
            f"{worlds.known[maze]['random']:.0%}",
        )
        for maze in MAZES
        for cost in COSTS
    ]
    names = (f"{planner}, {length} steps" for planner, length in columns)
    note = (
        "The same planners in the maze itself, by what a step costs: the squared distance of"
        " positions, or the length of the shortest way; and random actions."
    )
    return Table("In the mazes themselves", ("maze", *names, "random"), tuple(rows), note)


def charts(worlds: Worlds) -> tuple[Chart, ...]:
    """Success and curvature against λ."""
    return (*(_chart_of_success(worlds, maze) for maze in MAZES), _chart_of_curvature(worlds))


def _chart_of_success(worlds: Worlds, maze: str) -> Chart:
    series = tuple(
        _series(
            f"{planner}, {length} steps",
            [worlds.success(maze, weight, planner, length) for weight in WEIGHTS],
            dashed=length == SHORT,
        )
        for length in (LONG, SHORT)
        for planner in PLANNERS
    )
    name = maze.lower().replace(" ", "-")
    caption = f"Does success in the {maze} rise with the weight of straightening?"
    return Chart(name, f"Success in the {maze}", "λ", "share of starts", series, caption)


def _chart_of_curvature(worlds: Worlds) -> Chart:
    series = tuple(
        _series(
            f"{maze}, {words}",
            [worlds.estimate(maze, weight, of_paths(paths, "curvature")) for weight in WEIGHTS],
            dashed=paths == "positions",
        )
        for maze in MAZES
        for paths, words in (("seen", "encoded"), ("positions", "positions"))
    )
    caption = "Encoded held-out paths beside the paths of the positions, which λ leaves alone."
    return Chart("curvature", "Curvature of held-out paths", "λ", "1 − cos", series, caption)


def _series(name: str, estimates: list[Estimate], *, dashed: bool) -> Series:
    columns = zip(*((e.mean, e.low, e.high) for e in estimates), strict=True)
    mean, low, high = (tuple(column) for column in columns)
    return Series(name, WEIGHTS, mean, "dashed" if dashed else "line", low, high)
