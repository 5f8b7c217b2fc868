"""An experiment made by hand, for the tests of its pages."""

from paracosm.core.records.experiments import (
    Chart,
    Choice,
    Claim,
    Experiment,
    Findings,
    Series,
    Table,
)


def claims():
    return (
        Claim(
            "violations",
            "The bound is kept.",
            0.0,
            0.0,
            3.68,
            "count",
            0.0,
            "0 of 525",
            "agrees",
            "no one breaks it.",
        ),
        Claim(
            "slope",
            "The slope | in rms.",
            -0.11,
            -0.13,
            -0.09,
            "bootstrap",
            -0.2,
            "",
            "differs",
            "norms, not squares.",
        ),
        Claim(
            "more",
            "Below the floor.",
            12.5,
            12.5,
            12.5,
            "exact",
            None,
            "",
            "cannot be compared",
            "not in the paper.",
        ),
    )


def experiment(**changes):
    points = Series(
        "measured", (1.0, 10.0, 100.0), (1.0, 0.5, 0.2), "points", (0.9, 0.4, 0.1), (1.1, 0.6, 0.3)
    )
    line = Series("law <b>", (1.0, 10.0, 100.0), (1.0, 0.45, 0.2))
    chart = Chart(
        "curves",
        "Error against samples",
        "samples",
        "error",
        (points, line),
        "Lower is better.",
        True,
        True,
    )
    findings = Findings(
        setup=("Two systems.",),
        choices=(Choice("the start", "uniform", "nothing moves"),),
        claims=claims(),
        tables=(
            Table(
                "All rungs",
                ("rung", "median | slack"),
                (("1", "125"), ("4", "3.4")),
                "Of 40 systems.",
            ),
        ),
        charts=(chart,),
        found="The bound is kept; it is loose.",
    )
    fields = {
        "name": "E1",
        "title": "Is the bound kept?",
        "question": "How loose is it?",
        "scale": "quick",
        "command": "paracosm paper E1 --scale quick",
        "cells": 12,
        "seconds": 34.5,
        "versions": {"python": "3.11.7", "paracosm": "0.1"},
        "findings": findings,
    }
    return Experiment(**{**fields, **changes})
