"""`paracosm export RUN --to FORMAT`: a run's policy as a file that is used without Paracosm."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.text import Text

from paracosm.cli import output
from paracosm.core.checks import BadArgument
from paracosm.loop.exporting import export
from paracosm.reporting import export_words


@dataclasses.dataclass(frozen=True)
class ExportFlags:
    """Write a finished run's policy, as it is evaluated, as a file that is used without Paracosm.

    What stands between environment and policy is inside: the scaling of observations, the encoder,
    the bounds of actions. The file is compared with the policy before it is written, such as:
    paracosm export runs/pendulum --to onnx

    Attributes:
        run: The run directory.
        to: Needed: an ONNX model; a Python module that needs NumPy alone; or what
            torch.export.load reads.
        out: Where to write the file; policy.onnx, policy.py or policy.pt2 in the run directory if
            not given.
        trust: Import the code that the run names (its environment or encoder), if it is your own.
        json: Print one JSON document on stdout instead of the summary.
    """

    run: tyro.conf.Positional[Path]
    to: Annotated[
        Literal["onnx", "numpy", "torch"] | None, tyro.conf.arg(metavar="{onnx,numpy,torch}")
    ] = None
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    trust: bool = False
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(ExportFlags, arguments, "export")
    if flags.to is None:
        raise BadArgument("--to is not given; onnx, numpy or torch is needed.")
    exported = export(flags.run, flags.to, flags.out, trust=flags.trust)
    output.show(Text(export_words.sentences(exported)), exported.to_dict(), as_json=flags.json)
