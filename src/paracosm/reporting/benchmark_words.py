"""A benchmark in tables, charts and sentences."""

from __future__ import annotations

import math
import statistics

from paracosm.core.records.benchmarks import Benchmark, Shortfall, Task, TaskScore
from paracosm.core.records.experiments import Chart, Series, Table
from paracosm.reporting import words

_MISSING = "–"
_MOST_DECIMALS = 6  # beyond, a return is written as if it were what is needed


def number(value: float | None, needed: float | None = None) -> str:
    """A return with its tenths where these count.

    Args:
        value: The return, if there is one.
        needed: What it stands beside: as many decimals are shown as tell a return that misses it
            from it.
    """
    if value is None:
        return _MISSING
    decimals = 1 if abs(value) < 1000 else 0
    if needed is not None and value < needed:
        while decimals < _MOST_DECIMALS and round(value, decimals) >= needed:
            decimals += 1
    return words.number(value, decimals)


def title(record: Benchmark) -> str:
    """What the page is about."""
    return f"Benchmark {record.suite}"


def setup(record: Benchmark) -> tuple[str, ...]:
    """How the numbers came about."""
    seeds = ", ".join(map(str, record.seeds))
    sentences = [
        f"Every learner had as many transitions of a task, with the same seeds ({seeds}) and one"
        " set of defaults for all tasks.",
        f"A number is the median over seeds of the mean return of {record.episodes} real episodes,"
        " which start from the same states for every learner, are played without noise, and are not"
        " counted as transitions.",
        "Curves are of the episodes that were collected while learning, exploration included.",
        "The normalised return is 0 of random actions and 1 of the first of the returns that others"
        " report, which had the real steps that stand beside them.",
    ]
    wayless = [
        task.env
        for task in record.tasks
        if record.random.get(task.env, -math.inf) >= task.anchors[0].value
    ]
    if wayless:
        sentences.append(
            f"{' and '.join(wayless)} {'has' if len(wayless) == 1 else 'have'} no normalised"
            " return, since that first return is not above the one of random actions."
        )
    if "sb3-ppo" in record.learners:
        sentences.append(
            "sb3-ppo takes whole batches of 2,048 transitions, also where that is more."
        )
    if record.missing:
        sentences.append(
            f"Stable-Baselines3 is not installed: {' and '.join(record.missing)} are not there."
        )
    return tuple(sentences)


def lead(record: Benchmark) -> str:
    """What came out, in a few sentences."""
    sentences = []
    for learner in record.learners:
        verdicts = [record.reached(task, learner) for task in record.tasks]
        reached, judged = verdicts.count(True), len(verdicts) - verdicts.count(None)
        if judged:
            sentences.append(f"{learner} has what is needed on {reached} of {_tasks(judged)}.")
        share = record.aggregate.get(learner)
        if share is not None:
            whose = "Its" if judged else f"{learner}'s"
            mean = words.estimate(share) if len(record.seeds) > 1 else words.number(share.mean)
            sentences.append(
                f"{whose} interquartile mean of normalised returns is {mean}, over the"
                f" {_tasks(share.n // len(record.seeds))} whose runs all finished."
            )
    ours, *others = record.learners
    for peer in others:
        more, both = record.beaten(ours, peer)
        if both:
            sentences.append(
                f"With the same real steps {ours} has more than {peer} on {more} of {_tasks(both)}."
            )
    return " ".join(sentences) or "No cell gave a result."


def _tasks(number: int) -> str:
    return f"{number} {'task' if number == 1 else 'tasks'}"


def tables(record: Benchmark) -> tuple[Table, ...]:
    """The returns of all learners, what others report, and what the audits say."""
    return (_returns(record), _reported(record), *_audits(record), *_failures(record))


def charts(record: Benchmark) -> tuple[Chart, ...]:
    """Curves of return over real transitions, one chart a task."""
    return tuple(_chart(record, task) for task in record.tasks if _series(record, task))


def _returns(record: Benchmark) -> Table:
    rows = []
    for task in record.tasks:
        cells = [_cell(record, task, learner) for learner in record.learners]
        needed = number(task.needed)
        random = number(record.random.get(task.env))
        rows.append((task.env, f"{task.transitions:,}", random, needed, *cells))
    columns = ("task", "transitions", "random", "needed", *record.learners)
    note = (
        "Median of the seeds, and their least and most in brackets; ✓ where it is what is needed."
    )
    return Table("Returns", columns, tuple(rows), note)


def median(record: Benchmark, task: Task, learner: str) -> str:
    """The median over seeds, with a mark where it is what is needed."""
    mark = " ✓" if record.reached(task, learner) else ""
    return f"{number(record.median(task.env, learner), task.needed)}{mark}"


def _cell(record: Benchmark, task: Task, learner: str) -> str:
    means = sorted(score.mean for score in record.of(task.env, learner))
    ends = ", ".join(number(mean, task.needed) for mean in (means[0], means[-1])) if means else ""
    spread = f" [{ends}]" if len(means) > 1 else ""
    return f"{median(record, task, learner)}{spread}"


def _reported(record: Benchmark) -> Table:
    rows = [
        (task.env, number(anchor.value), anchor.method, f"{anchor.steps:,}", anchor.source)
        for task in record.tasks
        for anchor in task.anchors
    ]
    columns = ("task", "return", "method", "real steps", "source")
    return Table("What others report", columns, tuple(rows))


def _audits(record: Benchmark) -> list[Table]:
    """What the audit of each seed says, and why a task is missed."""
    rows = [
        _audit(task, score)
        for task in record.tasks
        for learner in record.learners
        for score in record.of(task.env, learner)
        if score.predicted is not None
    ]
    if not rows:
        return []
    columns = ("task", "learner", "seed", "real", "imagined", "by cause", "minutes", "missed by")
    note = (
        "Real minus imagined return is the sum of its causes; where an audit took a random subset"
        " of the steps, since episodes are long, it is so on average only. A seed that misses what"
        " is needed does so by the model where imagination is wrong about its return by at least"
        " what is missing, else by the search, which reached no policy with that return in"
        " imagination either."
    )
    return [Table("What the audits say", columns, tuple(rows), note)]


def _audit(task: Task, score: TaskScore) -> tuple[str, ...]:
    causes = ", ".join(f"{cause} {number(value)}" for cause, value in score.causes.items())
    missed = {Shortfall.MODEL: "the model", Shortfall.SEARCH: "the search", None: ""}
    return (
        task.env,
        score.learner,
        str(score.seed),
        number(score.mean, task.needed),
        number(score.predicted),
        causes,
        f"{score.seconds / 60:.1f}",
        missed[score.shortfall(task.needed)],
    )


def _failures(record: Benchmark) -> list[Table]:
    if not record.failures:
        return []
    rows = tuple(
        (score.env, score.learner, str(score.seed), score.error) for score in record.failures
    )
    return [Table("Cells that failed", ("task", "learner", "seed", "error"), rows)]


def _chart(record: Benchmark, task: Task) -> Chart:
    anchor = task.anchors[0]
    caption = (
        f"Dashed: {number(anchor.value)}, {anchor.method} after {anchor.steps:,} steps"
        f" ({anchor.source})."
    )
    name = "".join(letter if letter.isalnum() else "-" for letter in task.env).lower()
    return Chart(name, task.env, "real transitions", "return", _series(record, task), caption)


def _series(record: Benchmark, task: Task) -> tuple[Series, ...]:
    """A curve for each learner, the median over seeds of its points, and the anchor's line."""
    curves = []
    for learner in record.learners:
        points = [score.curve for score in record.of(task.env, learner) if score.curve]
        if points:
            steps = sorted({point.steps for curve in points for point in curve})
            values = [
                [point.value for curve in points for point in curve if point.steps == at]
                for at in steps
            ]
            middle = tuple(map(statistics.median, values))
            band = (tuple(map(min, values)), tuple(map(max, values)))
            low, high = band if len(points) > 1 else ((), ())
            curves.append(Series(learner, tuple(steps), middle, "line", low, high))
    if not curves:
        return ()
    most, anchor = max(curve.x[-1] for curve in curves), task.anchors[0]
    line = Series(anchor.method, (0.0, most), (anchor.value, anchor.value), "dashed")
    return (*curves, line)
