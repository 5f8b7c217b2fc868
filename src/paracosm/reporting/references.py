"""What a report rests on: the works of exactly the rungs, estimators and learners in it.

`references.bib` beside this file is the one place of references; docs/references.bib is a link to
it. Whatever a report says of a method comes from a field of its record, never from its sentences.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from paracosm.core.records import Diagnosis, Estimate
from paracosm.core.records.assisted import Help
from paracosm.core.records.base import Record
from paracosm.core.records.indicators import LeadVerdict
from paracosm.core.records.results import RunResult
from paracosm.reporting.decision_tables import Texts

_BIB = Path(__file__).with_name("references.bib")
_PAPER = "timor2026imagination"
_ENTRY = re.compile(r"^@\w+\{(\S+),\n.*?^\}", re.M | re.S)
_FIELD = re.compile(r"^  (\w+)\s*= \{(.*)\},$", re.M)

_SEARCHES = {
    "mppi": ("williams2017mppi",),
    "cem": ("rubinstein1999cross", "chua2018pets"),
}
_CAUTIONS = {
    "edge": ("kidambi2020morel",),
    "stop": ("kidambi2020morel", "frauenknecht2024macura"),
    "penalty": ("yu2020mopo",),
}
_ENCODERS = {
    "latent": ("bardes2022vicreg",),
    "recurrent": ("hafner2019planet", "hafner2021dreamerv2"),
}
_LEARNERS = {
    "pathwise": ("heess2015stochastic", "clavera2020maac", "fujimoto2018td3"),
    "reinforce": ("williams1992simple",),
}
# By a word of an estimate's `method`, which names what made the interval.
_INTERVALS = {
    "betting": ("waudbysmith2024betting",),
    "t mixture": ("lai1976confidence", "wang2024anytime"),
}


class Citation(NamedTuple):
    """A work, and what of a report rests on it.

    Attributes:
        key: In references.bib.
        what: The methods, a clause each.
        authors, year, title: Authors, year and title of the work, for reading.
        bibtex: The entry, for copying.
    """

    key: str
    what: tuple[str, ...]
    authors: str
    year: str
    title: str
    bibtex: str


def references(diagnosis: Diagnosis, run: RunResult | None) -> list[Citation]:
    """The works that a report rests on, in the order in which it comes to them.

    Args:
        diagnosis: The diagnosis that the report shows.
        run: The run that it is the audit of, if any.
    """
    used: dict[str, list[str]] = {_PAPER: ["training in imagination, and its gap"]}
    for what, keys in (*_of_diagnosis(diagnosis), *_of_run(run), *_of_intervals(run or diagnosis)):
        for key in keys:
            used.setdefault(key, []).append(what)
    return [_citation(key, tuple(dict.fromkeys(what))) for key, what in used.items()]


def rows(works: list[Citation]) -> list[Texts]:
    """Work, and what rests on it."""
    return [(f"{work.authors} {work.year}: {work.title}", "; ".join(work.what)) for work in works]


Uses = Iterator[tuple[str, tuple[str, ...]]]  # a method in words, and the keys of its works


def _of_diagnosis(diagnosis: Diagnosis) -> Uses:
    if diagnosis.valid:
        yield from _of_terms(diagnosis)
    if diagnosis.effective_episodes is not None:
        yield "how many episodes weighted ones are worth", ("kish1965survey",)
    if diagnosis.assisted is not None and diagnosis.assisted.help is Help.HELPED:
        keys = ("peherstorfer2016multifidelity", "angelopoulos2023prediction")
        yield "imagined returns as a control variate", keys
    for trial in () if diagnosis.search is None else diagnosis.search.trials:
        yield f"the search {trial.search}", _SEARCHES.get(trial.search, ())
    yield from _of_spread(diagnosis)
    if diagnosis.ranking is not None:
        keys = ("bhamidipaty2026exploitable", "kendall1938measure")
        yield "the order of policies in imagination", keys


def _of_terms(diagnosis: Diagnosis) -> Uses:
    """What the terms of the gap and its bounds rest on; a report without a verdict has none."""
    if diagnosis.audited_steps < diagnosis.real_steps:
        yield "a random subset of the steps", ("horvitz1952sampling",)
    if diagnosis.dynamics_by_dimension.dimensions:
        yield "the dynamics term by state component", ("sundararajan2017axiomatic",)
    if diagnosis.orders is not None:
        yield "either order of the errors", ("shapley1953value",)
    if any(rung.rung == "global" for rung in diagnosis.certificates):
        yield "the bound by global constants", (_PAPER, "asadi2018lipschitz")
    if any(bracket.kind == "certificate" for bracket in diagnosis.lipschitz.values()):
        keys = ("fazlyab2019lipsdp", "xu2024eclipse", "combettes2020averaged")
        yield "Lipschitz constants of networks from above", keys


def _of_spread(diagnosis: Diagnosis) -> Uses:
    calibration = diagnosis.calibration
    if calibration is None:
        return
    if calibration.coverage is not None:
        keys = ("lakshminarayanan2017ensembles", "kuleshov2018calibrated")
        yield "whether intervals hold what they say", keys
    if calibration.spread == "total":
        keys = ("chua2018pets", "satterthwaite1946variance")
        yield "the members' spread over many steps", keys


def _of_run(run: RunResult | None) -> Uses:
    if run is None:
        return
    settings = run.configuration
    planner = settings.get("planner", "None")
    if planner != "None":
        yield f"the planner {planner}", _SEARCHES.get(planner, ())
    elif run.trainings:
        yield from _of_learner(settings)
    encoder = settings.get("encoder", "None")
    yield f"the encoder {encoder}", _ENCODERS.get(encoder, ())
    if any(len(fit.members) > 1 for fit in run.fits.values()):
        yield "ensembles of networks", ("lakshminarayanan2017ensembles",)
    dynamics = run.fits.get("dynamics")
    learned = dynamics is not None and dynamics.origin == "learned"
    if learned and settings.get("learn.probabilistic") == "True":
        yield "dynamics that predict their noise", ("chua2018pets", "seitzer2022pitfalls")
    if any(decision.plan is not None for decision in run.decisions):
        yield "how the budget was split", (_PAPER,)
    tested = () if run.indicators is None else run.indicators.indicators
    if any(indicator.verdict is not LeadVerdict.TOO_FEW for indicator in tested):
        keys = ("granger1969causal", "toda1995inference", "freedman1983nonstochastic")
        yield "what precedes the gap", (*keys, "holm1979simple")


def _of_learner(settings: dict[str, str]) -> Uses:
    """What trained the policy, under which caution."""
    learner = settings.get("learner", "None")
    learner = "reinforce" if learner == "None" else learner
    yield f"the learner {learner}", _LEARNERS.get(learner, ())
    if learner in _LEARNERS:
        yield "returns that a learned value completes", ("sutton1988learning",)
    if learner == "pathwise":
        yield "imagination in members drawn anew", ("chua2018pets", "janner2019mbpo")
    if learner == "reinforce" and settings.get("imagine.baseline") == "leave-one-out":
        yield "the mean of the other rollouts as a baseline", ("kool2019buy",)
    if learner == "reinforce" and settings.get("imagine.weighting") == "plain":
        yield "the gradient without the discount of each term", ("thomas2014bias",)
    caution = settings.get("caution", "None")
    caution = "edge" if caution == "None" and learner == "reinforce" else caution
    yield f"the caution {caution}", _CAUTIONS.get(caution, ())


def _of_intervals(record: Record) -> Uses:
    methods = {estimate.method for estimate in _estimates(record)}
    for word, keys in _INTERVALS.items():
        if any(word in method for method in methods):
            yield f"intervals by {'betting' if word == 'betting' else 'the t mixture'}", keys


def _estimates(value: Any) -> Iterator[Estimate]:
    """Every estimate in a record."""
    if isinstance(value, Estimate):
        yield value
    elif isinstance(value, Record):
        for field in dataclasses.fields(value):
            yield from _estimates(getattr(value, field.name))
    elif isinstance(value, dict | tuple) and value and not isinstance(next(iter(value)), float):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _estimates(item)


@functools.cache
def entries() -> dict[str, str]:
    """The entries of references.bib, as they stand there, by key."""
    text = _BIB.read_text(encoding="utf-8")
    return {match[1]: match[0] for match in _ENTRY.finditer(text)}


def _citation(key: str, what: tuple[str, ...]) -> Citation:
    bibtex = entries()[key]
    fields = {name: _plain(value) for name, value in _FIELD.findall(bibtex)}
    authors = _names(fields["author"])
    return Citation(key, what, authors, fields["year"], fields["title"], bibtex)


def _names(authors: str) -> str:
    """Family names: one, two, or the first and `et al.`."""
    families = [author.split(",")[0] for author in authors.split(" and ")]
    return f"{families[0]} et al." if len(families) > 2 else " & ".join(families)


def _plain(value: str) -> str:
    """A field of BibTeX for reading: accents as letters, no braces."""
    for written, letter in {r"{\'e}": "é", r"\&": "&"}.items():
        value = value.replace(written, letter)
    return value.replace("{", "").replace("}", "")
