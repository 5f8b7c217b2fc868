"""E9, temporal straightening: do straight latent paths make planning easier?

Wang et al. 2026 (arXiv 2603.12231) train an encoder with latent dynamics on `‖ẑ - sg(z')‖² + λ (1 -
cos(v_t, v_{t+1}))` and report that more plans reach their goals. Here λ is swept on two mazes that
are seen as pictures: prediction, curvature, brackets of the latent velocity beside Proposition 1's
bound with actions, and success of three planners that know nothing but the goal's picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Claim, Findings
from paracosm.paper import e9_shows as shows
from paracosm.paper.e9_cells import cells
from paracosm.paper.e9_choices import (
    LONG,
    MAZES,
    PLANNERS,
    SHORT,
    VARIED,
)
from paracosm.paper.e9_numbers import LEAST, MOST, Worlds, of_paths, reached
from paracosm.paper.study import Answer, Study, beside, beyond, bounded, must_hold

_ENOUGH = 0.6  # success at λ = 0 from which on a world is good enough to compare
_THEIRS = 0.5  # from 44 to 94% and from 15 to 65%: the same gain twice
_SPAN = f"from λ = {LEAST:g} to λ = {MOST:g}"


class _StepsBeyond(NamedTuple):
    """Counts over all worlds of the chosen settings, of paths of one kind.

    Attributes:
        paper, sharp: Shares of covered steps beyond the paper's bound in η, and beyond the sharp
            one.
        by_world: The first of them, a mean of the worlds that have a covered step.
        alone: Share of steps with a changed action beyond the paper's bound in ε, mean of the same
            worlds: without a covered step ε is 1 or more, which bounds nothing.
        fullest: The most that a covered step takes of the sharp bound.
    """

    paper: Estimate
    sharp: Estimate
    by_world: Estimate
    alone: Estimate
    fullest: float


def _bounds(worlds: Worlds, paths: str) -> _StepsBeyond:
    turns = [result[paths] for result in worlds.everything()]
    steps = sum(t["steps"] for t in turns)
    count = lambda name: sum(round(t[name] * t["steps"]) for t in turns)  # noqa: E731
    share = lambda name: estimators.share(count(name), max(steps, 1))  # noqa: E731
    by_world = lambda name: _by_world([t[name] for t in turns if t["steps"]])  # noqa: E731
    fullest = max(t["filled"] for t in turns)
    return _StepsBeyond(
        share("paper"), share("sharp"), by_world("paper"), by_world("alone"), fullest
    )


def _by_world(shares: Sequence[float]) -> Estimate:
    if not shares:
        return Estimate(0.0, 0.0, 1.0, 0, "no step is covered")
    return estimators.student_mean(shares)


def _id(maze: str) -> str:
    return maze.lower().replace("-", "_").replace(" ", "_")


def _name(maze: str) -> str:
    return f"the {maze}"


def _claims(worlds: Worlds) -> tuple[Claim, ...]:
    return (
        _good_enough(worlds),
        *(_straighter(worlds, maze) for maze in MAZES),
        *_proposition(worlds),
        *(_nearer(worlds, maze) for maze in MAZES),
        *(
            _success(worlds, maze, planner, length)
            for maze in MAZES
            for length in (LONG, SHORT)
            for planner in PLANNERS
        ),
        _what_decides(worlds),
        _beside_theirs(worlds),
        *(_prediction(worlds, maze) for maze in MAZES),
    )


def _good_enough(worlds: Worlds) -> Claim:
    maze = MAZES[0]
    best = worlds.best(maze, LEAST, LONG)
    success = worlds.success(maze, LEAST, best, LONG)
    return beyond(
        "good_enough_two_rooms",
        f"Success in {_name(maze)} at λ = {LEAST:g}, best planner ({best}), plans of {LONG} steps.",
        success,
        why=f"no number is given for it; we asked for {_ENOUGH:.0%} or more before λ is compared,"
        f" which is {'met' if success.low >= _ENOUGH else 'not shown'}. Random actions reach the"
        f" goal from {worlds.known[maze]['random']:.0%} of the same kind of starts.",
    )


def _straighter(worlds: Worlds, maze: str) -> Claim:
    number = of_paths("seen", "curvature")
    before, after = (worlds.mean(maze, weight, number) for weight in (LEAST, MOST))
    positions = worlds.mean(maze, LEAST, of_paths("positions", "curvature"))
    return bounded(
        f"curvature_{_id(maze)}",
        f"Change of the mean curvature of held-out latent paths in {_name(maze)}, {_SPAN}.",
        worlds.change(maze, number),
        0.0,
        side="below",
        says="straightening lowers curvature",
        why=f"{before:.2f} became {after:.2f}; the paths of the positions themselves have"
        f" {positions:.2f}",
    )


def _proposition(worlds: Worlds) -> tuple[Claim, ...]:
    model, seen = (_bounds(worlds, paths) for paths in ("imagined", "seen"))
    checked = f"{model.paper.n:,} covered steps of imagined paths, in double precision"
    return (
        must_hold(
            "violations",
            "Share of covered imagined steps that exceed η²/(2(1−η)), η of certified constants.",
            model.paper,
            paper=0,
            says="none",
            holds=model.paper.mean == 0,
            why=f"Proposition 1 with η for ε is proved; what was checked are {checked}.",
        ),
        must_hold(
            "sharp_violations",
            "Share of covered imagined steps that exceed 1 − sqrt(1−η²).",
            model.sharp,
            holds=model.sharp.mean == 0,
            why=f"the paper has no sharp bound; it is proved, and was checked on {checked}: the"
            f" sharpest turn takes {model.fullest:.0%} of it.",
        ),
        beyond(
            "violations_ignoring_actions",
            "Share of imagined steps with a changed action that exceed ε²/(2(1−ε))"
            f"{_of_worlds(worlds, model.alone)}.",
            model.alone,
            why="the paper's statement has no actions; it is not meant for these steps, and a"
            " latent world has no others but where an action is held.",
        ),
        beyond(
            "violations_seen",
            "Share of covered steps of encoded real paths that exceed"
            f" η²/(2(1−η)){_of_worlds(worlds, seen.by_world)}.",
            seen.by_world,
            why="the proposition is about paths of the learned dynamics; real paths differ from"
            " them by its one-step error, which turns a short step far.",
        ),
    )


def _of_worlds(worlds: Worlds, mean: Estimate) -> str:
    return f", mean of the {mean.n} of {len(worlds.everything())} worlds with a covered step"


def _nearer(worlds: Worlds, maze: str) -> Claim:
    number = shows.AGREEMENT
    before, after = (worlds.mean(maze, weight, number) for weight in (LEAST, MOST))
    return bounded(
        f"distance_{_id(maze)}",
        "Change of the rank correlation of latent distance to the goal with the length of the"
        f" shortest way, in {_name(maze)}, {_SPAN}.",
        worlds.change(maze, number),
        0.0,
        side="above",
        says="latent distance becomes a better proxy of the way",
        why=f"{before:.2f} became {after:.2f}",
    )


def _success(worlds: Worlds, maze: str, planner: str, length: int) -> Claim:
    """Whether success rises.

    Args:
        worlds: All answers.
        maze: Of `MAZES`.
        planner: Of `PLANNERS`.
        length: Of its plans.
    """
    before, after = (worlds.success(maze, w, planner, length) for w in (LEAST, MOST))
    known = reached(planner, length, "straight line")(worlds.known[maze])
    return bounded(
        f"success_{planner.lower()}_{length}_{_id(maze)}",
        f"Change of the success of {planner} planning in {_name(maze)}, plans of {length} steps,"
        f" {_SPAN}.",
        worlds.gain(maze, planner, length),
        0.0,
        side="above",
        says="success rises",
        why=f"{before.mean:.0%} became {after.mean:.0%}, where {known:.0%} reach the goal in the"
        " maze itself by straight distance",
    )


def _what_decides(worlds: Worlds) -> Claim:
    gradient = reached("gradient", LONG)
    of_turns = worlds.explained(VARIED, of_paths("seen", "curvature"), gradient)
    return beyond(
        "what_decides",
        f"Rank correlation, over the worlds of {_name(VARIED)}, of the success of gradient planning"
        " with the agreement of latent distance and way.",
        worlds.explained(VARIED, shows.AGREEMENT, gradient),
        why="no number is given for it; that of success with the curvature of encoded paths is"
        f" {of_turns.mean:.2f} [{of_turns.low:.2f}, {of_turns.high:.2f}].",
    )


def _beside_theirs(worlds: Worlds) -> Claim:
    gain = worlds.gain(VARIED, "gradient", LONG)
    before = worlds.success(VARIED, LEAST, "gradient", LONG)
    return beside(
        "gain_beside_wang",
        f"Gain in success of gradient planning in {_name(VARIED)}, plans of {LONG} steps, {_SPAN}.",
        gain,
        _THEIRS,
        says="44 to 94%, and 15 to 65%",
        agrees="our interval holds their gain of 50 points, and is"
        f" {100 * (gain.high - gain.low):.0f} points wide over {gain.n} seeds; {_DIFFERENT}.",
        differs=f"ours starts from {before.mean:.0%}, with {_DIFFERENT}.",
    )


_DIFFERENT = (
    "another encoder (8 features of 24 by 24 pixels, kept apart by variance and covariance, where"
    " theirs has targets without derivative), robot (positions, theirs has speeds), planner and"
    " horizon"
)


def _prediction(worlds: Worlds, maze: str) -> Claim:
    number = shows.ERROR
    before, after = (worlds.mean(maze, weight, number) for weight in (LEAST, MOST))
    return beyond(
        f"prediction_{_id(maze)}",
        f"Change of the error of predictions {shows.STEPS_AHEAD} steps ahead, as a share of the"
        f" features' variance, in {_name(maze)}, {_SPAN}.",
        worlds.change(maze, number),
        why=f"no number is given for it; {before:.3f} became {after:.3f}, where no change is"
        f" predicted with {worlds.mean(maze, LEAST, shows.PERSISTENCE):.2f} and"
        f" {worlds.mean(maze, MOST, shows.PERSISTENCE):.2f}.",
    )


def _summary(worlds: Worlds, claims: Sequence[Claim]) -> str:
    by_id = {claim.id: claim for claim in claims}
    success = [claim for claim in claims if claim.id.startswith("success_")]
    rises = [claim for claim in success if claim.verdict == "agrees"]
    falls = [claim for claim in success if claim.verdict == "differs"]
    straighter = [by_id[f"curvature_{_id(maze)}"] for maze in MAZES]
    fell = sum(claim.verdict == "agrees" for claim in straighter)
    means = [claim.ours for claim in success]
    answer = {2: "in both mazes", 1: "in one of two mazes", 0: "in neither maze, beyond doubt,"}
    lines = [
        f"Straightening made latent paths straighter {answer[fell]}"
        f" (curvature {_changes(straighter)}); success rose, beyond doubt, in {len(rises)} of"
        f" {len(success)} combinations of maze, planner and plan length and fell in {len(falls)},"
        f" the mean change being {100 * float(np.mean(means)):+.0f} points.",
        _by_maze(worlds),
        f"At λ = {LEAST:g} the best planner reaches the goal of the two rooms from"
        f" {by_id['good_enough_two_rooms'].ours:.0%} of the starts.",
        _of_bounds(worlds, by_id),
    ]
    return " ".join(lines)


def _changes(claims: Sequence[Claim]) -> str:
    return ", ".join(f"{claim.ours:+.2f}" for claim in claims)


def _by_maze(worlds: Worlds) -> str:
    def rates(maze: str, planner: str) -> str:
        weights = (worlds.success(maze, weight, planner, LONG).mean for weight in shows.WEIGHTS)
        return f"{planner} " + ", ".join(f"{rate:.0%}" for rate in weights)

    lists = [f"in {_name(maze)} " + "; ".join(rates(maze, p) for p in PLANNERS) for maze in MAZES]
    weights = ", ".join(f"{weight:g}" for weight in shows.WEIGHTS)
    return f"Success with plans of {LONG} steps at λ = {weights}: " + ", and ".join(lists) + "."


def _of_bounds(worlds: Worlds, claims: dict[str, Claim]) -> str:
    kept = claims["violations"].verdict == "must hold"
    covered = np.mean([result["imagined"]["covered"] for result in worlds.everything()])
    return (
        f"Proposition 1 with actions speaks on {covered:.0%} of the steps, with certified"
        f" constants, and is {'never' if kept else 'sometimes'} exceeded by paths of the learned"
        f" dynamics; encoded real paths exceed it on {claims['violations_seen'].ours:.1%} of them,"
        " since they are not exactly its paths."
    )


def read(answers: Sequence[Answer]) -> Findings:
    """Claims, tables and charts from the answers."""
    worlds = Worlds(answers)
    claims = _claims(worlds)
    return Findings(
        shows.setup(worlds),
        shows.choices(worlds),
        claims,
        shows.tables(worlds),
        shows.charts(worlds),
        _summary(worlds, claims),
    )


STUDY = Study(
    "Do straight latent paths make planning to a goal's picture easier, and do smooth latent"
    " dynamics make them straight?",
    cells,
    read,
)
