"""The verb `export`: a policy as a file that is used without Paracosm."""

from __future__ import annotations

import importlib
import keyword
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from paracosm.core import checks
from paracosm.core.extras import import_optional
from paracosm.core.files import as_path, atomic_write, shown, try_file
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.observing import Observing
from paracosm.core.policy import Policy, acts, initial_carries
from paracosm.core.records.exported import Exported
from paracosm.exporting.program import Program, Step
from paracosm.exporting.tracing import program_of
from paracosm.imagination.planners import Planner
from paracosm.loop.load import Run, load
from paracosm.real import datasets

ENDINGS = {"onnx": ".onnx", "numpy": ".py", "torch": ".pt2"}
"""The formats, and how their files' names end."""
_NEEDS = {"onnx": ("onnx", "onnxruntime"), "numpy": (), "torch": ("torch",)}
# Observations at which file and policy are compared; of a policy with a carry in episodes.
_COMPARED, _STEPS = 1_000, 20
# What may differ: rounding of 32 bits, in half-boxes, and choices between equally good actions.
_ROUNDING, _TIES = 1e-4, 0.01


def export(
    run: Run | Policy | str | Path,
    to: str,
    path: str | Path | None = None,
    *,
    spec: Spec | None = None,
    trust: bool = False,
) -> Exported:
    """Write the deterministic policy, the one that is evaluated, as a file that is used without
    Paracosm.

    Whatever stands between the environment and the policy is inside: the scaling of observations,
    the encoder, the bounds of actions; discrete actions have the environment's own numbers. A
    policy that carries something, such as the memory of its encoder, takes the carry beside the
    observation and gives the next one; a carry of zeros starts an episode.

    Before the file is written, what it holds is asked at 1,000 observations and compared with the
    policy.

    Args:
        run: A run or its directory, or a policy of observations, such as `imagined.policy`.
        to: `onnx`, `numpy` or `torch`: an ONNX model, a Python module that needs NumPy alone, or
            what `torch.export.load` reads.
        path: Of the file; `policy.onnx`, `policy.py` or `policy.pt2` in the run's directory if
            None.
        spec: What is fixed about the task of a policy that is given itself.
        trust: Whether code that the run names may be imported, if it is given as a directory.

    Raises:
        BadArgument: no such format, no path or spec where they are needed, a path that cannot be
            written, or that is no name of a module in the format `numpy`.
        Missing: a package that the format needs is not installed; the run has no policy yet.
        Unsupported: a policy that cannot be exported: a planner, one that asks a function of
            Python, or one that computes what no format has a word for.
        BadData: what the file would hold does not act as the policy.
    """
    checks.one_of("--to", to, ENDINGS)
    _require_packages(to)
    if isinstance(run, Policy):
        subject, folder = _of_policy(run, spec), None
    else:
        run = run if isinstance(run, Run) else load(run, trust=trust)
        subject, folder = _of_run(run), run.path
    target = _target(path, to, folder)
    program = program_of(subject.policy, subject.action, subject.shape)
    writer = importlib.import_module(f"paracosm.exporting.{to}_file")
    file = writer.encode(program, subject.title, target.stem)
    differences = _differences(program, subject, writer.decode(file))
    _require_equal(differences, subject.action)
    with atomic_write(target) as part:
        part.write_bytes(file)
    return _record(subject, target, to, program.carry_size, differences)


class _PolicyToExport(NamedTuple):
    """A policy of observations, and what is needed to export it.

    Attributes:
        policy: The policy.
        action: The actions that there are.
        shape: Of an observation.
        observations: At which file and policy are compared, `[compared, observation]`.
        title: What the file says of itself.
    """

    policy: Policy
    action: Box | Discrete
    shape: tuple[int, ...]
    observations: np.ndarray
    title: str


def _of_policy(policy: Policy, spec: Spec | None) -> _PolicyToExport:
    checks.of_kind("spec", spec, Spec, "a Spec, beside a policy that is given itself,")
    assert spec is not None
    _require_no_planner(policy)
    random, size = np.random.default_rng(0), (_COMPARED, spec.state_size)
    if getattr(policy, "kind", "float32") == "uint8":
        observations = random.integers(0, 256, size, np.uint8)
    else:
        observations = (random.normal(size=size) * spec.state_scale).astype(np.float32)
    title = f"A {type(policy).__name__} policy, exported by Paracosm."
    return _PolicyToExport(policy, spec.action, (spec.state_size,), observations, title)


def _of_run(run: Run) -> _PolicyToExport:
    if run.config.planner is not None:
        raise checks.Unsupported(
            f"the policy of the run in {shown(run.path)} cannot be exported: it is the planner"
            f" {run.config.planner}, which searches the learned world at every step."
        )
    title = f"The policy of the run {run.path.resolve().name} in {run.config.env}."
    if run.config.encoder is None:
        spec, policy = run.spec, run.policy
        _require_no_planner(policy)
        shape = (spec.state_size,)
        return _PolicyToExport(policy, spec.action, shape, _recorded(run, shape, np.float32), title)
    source, policy = run.observed_source(), run.observing
    shape = source.image or (source.state_size,)
    recorded = _recorded(run, shape, source.state_type)
    return _PolicyToExport(policy, source.action, shape, recorded, title)


def _require_no_planner(policy: Policy) -> None:
    if isinstance(policy, Planner):
        raise checks.Unsupported(
            f"the policy {type(policy).__name__} cannot be exported: it is a planner, which"
            " searches the learned world at every step."
        )


def _recorded(run: Run, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    """Observations of the run's first purchase, again and again where there are fewer.

    Of beliefs that were recorded in their place as many components: any numbers of their size tell
    whether two functions are the same.
    """
    states = datasets.load(run.path / "data/round-0.npz").state
    rows = np.arange(_COMPARED) % len(states)
    return np.ascontiguousarray(states[rows, : math.prod(shape)]).astype(kind)


def _target(path: str | Path | None, to: str, folder: Path | None) -> Path:
    """Where the file goes."""
    if path is None and folder is None:
        raise checks.BadArgument("a path is needed beside a policy that is given itself.")
    target = folder / f"policy{ENDINGS[to]}" if path is None and folder else as_path("path", path)
    importable = target.stem.isidentifier() and not keyword.iskeyword(target.stem)
    if to == "numpy" and not (target.suffix == ".py" and importable):
        raise checks.BadArgument(
            f"the file is {target.name}; a name that Python imports is needed, such as policy.py."
        )
    try_file("the file to write", target)
    return target


def _require_packages(to: str) -> None:
    for package in _NEEDS[to]:
        import_optional(package, to, f"a policy as {to}")


def _differences(program: Program, subject: _PolicyToExport, step: Step) -> np.ndarray:
    """How far the actions of what was exported are from the policy's, `[compared, action]`; of
    discrete ones the largest difference of their numbers, `[compared]`.

    A policy with a carry plays episodes of 20 steps, in each of which it observes other rows.
    """
    policy = subject.policy.greedy()
    steps = _STEPS if program.carry_size else 1
    lanes = _COMPARED // steps
    carries, keys = initial_carries(policy, lanes), jax.random.split(jax.random.key(0), lanes)
    carry, worst = np.zeros((lanes, program.carry_size), np.float32), []
    for rows in subject.observations.reshape(steps, lanes, -1):
        expected, carries = acts(policy, carries, rows, keys)
        action, carry = step(rows, carry)
        if isinstance(subject.action, Discrete):
            differ = np.abs(np.asarray(action) - subject.action.values(expected))
            worst.append(differ.reshape(lanes, -1).max(axis=1))
        else:
            worst.append(np.abs(np.asarray(action, np.float64) - np.asarray(expected)))
    return np.concatenate(worst)


def _largest(differences: np.ndarray, action: Box | Discrete) -> float:
    """The largest difference of actions, or the share of other choices."""
    return float(np.mean(differences > 0) if isinstance(action, Discrete) else differences.max())


def _require_equal(differences: np.ndarray, action: Box | Discrete) -> None:
    """Require equal actions, up to rounding: each component by its own range, choices but for ties.

    Raises:
        BadData: some actions differ by more.
    """
    if isinstance(action, Discrete):
        equal, what = _largest(differences, action) <= _TIES, "of its actions are others than"
    else:
        half = (np.asarray(action.high, np.float64) - np.asarray(action.low)) / 2
        equal = bool((differences <= _ROUNDING * half).all())
        what = "is how far its actions are from"
    if not equal:
        raise checks.BadData(
            f"the file would not act as the policy: {_largest(differences, action):.3g} {what} the"
            " policy's; nothing was written."
        )


def _record(
    subject: _PolicyToExport, target: Path, to: str, carry: int, differences: np.ndarray
) -> Exported:
    """What is known of the file.

    Args:
        subject: What was exported.
        target, to: Where, and in which format.
        carry: Numbers that are carried.
        differences: As `_differences` gives it.
    """
    policy, action = subject.policy, subject.action
    encoded = isinstance(policy, Observing)
    return Exported(
        path=str(target),
        to=to,
        policy=type(policy.policy if encoded else policy).__name__,
        encoder=type(policy.encoder).__name__ if encoded else None,
        observation=subject.shape,
        carry=carry,
        actions=action.size,
        first_action=action.start if isinstance(action, Discrete) else None,
        choices=action.counts if isinstance(action, Discrete) else (),
        compared=_COMPARED,
        difference=_largest(differences, action),
    )
