"""`paracosm run ENV`: the whole job."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text

from paracosm import reporting
from paracosm.adapters.trackers import MLflow, TensorBoard, Wandb
from paracosm.cli import output
from paracosm.core import checks
from paracosm.core.checks import BadArgument
from paracosm.core.records.results import RunResult
from paracosm.core.tracking import Several, Tracker
from paracosm.loop.config import RunConfig, RunOptions
from paracosm.loop.directory import default_out
from paracosm.loop.run import run
from paracosm.loop.short_rounds import learner_note
from paracosm.real import registry

# What `--track` knows by name.
TRACKERS: dict[str, Callable[[], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "mlflow": MLflow,
}


@dataclasses.dataclass(frozen=True)
class RunFlags(RunConfig):
    """Collect real data, learn a world from it, train a policy in imagination, evaluate it, explain
    the gap.

    The result is a run directory with the data, the models, the policy and report.html. Data are
    bought: a transition (s, a, s', ended) trains the dynamics and the end rule, a reward label (s,
    a, s', r) the reward, and each has its own count and price. The policy is trained on imagined
    rollouts only; the real environment is asked again just to evaluate the result.

    For example:

    paracosm run Pendulum-v1

    paracosm run CartPole-v1 --transitions 5000 --reward-labels 1000 --out runs/cart --json

    paracosm run Hopper-v5 --learner reinforce --transitions 30000 --rounds 5

    paracosm run my_package:make_env --env-kwargs '{"difficulty": 2}'

    paracosm run --data minari:my/dataset --env Pendulum-v1

    Attributes:
        env: A Gymnasium id, or module:function giving a gymnasium.Env or a JAX-native MDP (your
            module is imported). Also --env ENV.
        track: Where the numbers of the stages go as they come, and the figures in the end:
            tensorboard, wandb, mlflow, or several of them as tensorboard,wandb (an extra each);
            module:function, or a class, that makes a paracosm.Tracker without arguments is another
            (your module is imported).
        out: The run directory; runs/ENV-seedN if not given.
        resume: Go on with the unfinished run in --out; gives the same result as one that was not
            stopped. Where a Gymnasium environment had failed, or Ctrl-C came while it was stepped,
            the real steps before that are kept and it goes on from them with new episodes: its
            numbers are then others than those of a run never stopped.
        force: Start again, removing the run that is in --out.
        json: Print one JSON document on stdout instead of the summary.
    """

    env: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ENV")] = ""
    horizon: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    discount: Annotated[float | None, tyro.conf.arg(metavar="GAMMA")] = None
    budget: Annotated[float | None, tyro.conf.arg(metavar="MONEY")] = None
    action_range: Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH")] = None
    state_scale: Annotated[str | None, tyro.conf.arg(metavar="JSON")] = None
    data: Annotated[str | None, tyro.conf.arg(metavar="DATA")] = None
    columns: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ROLE=COLUMN")] = ()
    transitions: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    reward_labels: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    reward: Annotated[str | None, tyro.conf.arg(metavar="MODULE:FUNCTION")] = None
    termination: Annotated[str | None, tyro.conf.arg(metavar="MODULE:FUNCTION")] = None
    learner: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    caution: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    encoder: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    planner: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    track: Annotated[str | None, tyro.conf.arg(metavar="NAME[,NAME]")] = None
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    resume: bool = False
    force: bool = False
    json: bool = False

    def __post_init__(self) -> None:
        """Values are checked when the run begins, where a bad one is one sentence."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(RunFlags, _env_first(list(arguments)), "run")
    if not flags.env:
        raise BadArgument(
            "no environment is named; write paracosm run ENV, for example paracosm run Pendulum-v1."
        )
    options = {name: getattr(flags, name) for name in RunOptions.__annotations__}
    out = default_out(flags.env, flags.seed) if flags.out is None else flags.out
    with output.show_if_unwritten(RunResult.summary, as_json=flags.json), output.progress() as tell:
        result = run(
            flags.env,
            **options,
            out=out,
            resume=flags.resume,
            force=flags.force,
            learn_settings=flags.learn,
            imagine_settings=flags.imagine,
            progress=tell,
            tracker=_tracker_of(flags.track),
        )
    page = str(out / "report.html")
    output.show(reporting.summary(result), {**result.summary(), "report": page}, as_json=flags.json)
    if not flags.json:
        last = filter(None, (learner_note(flags), f"The report is {page}"))
        output.show(Text("\n" + "\n".join(last)), {}, as_json=False)


def _tracker_of(names: str | None) -> Callable[[], Tracker] | None:
    """What makes the trackers that --track names."""
    if names is None:
        return None
    return lambda: Several(*(_tracker(name.strip()) for name in names.split(",")))


def _tracker(name: str) -> Tracker:
    """The tracker of a name, or what the user's `module:function` makes.

    Raises:
        Missing: its extra is not installed, or there is no such function.
        BadArgument: there is none of that name, or the function makes none.
    """
    if ":" in name:
        return registry.build_named(name, Tracker, "--track")
    checks.one_of("--track", name, (*TRACKERS, "module:function"))
    return TRACKERS[name]()


def _env_first(arguments: list[str]) -> list[str]:
    """`--env ENV` as the positional argument that it names."""
    for at, word in enumerate(arguments):
        if word == "--env" and at + 1 < len(arguments):
            return [arguments[at + 1], *arguments[:at], *arguments[at + 2 :]]
        if word.startswith("--env="):
            return [word.removeprefix("--env="), *arguments[:at], *arguments[at + 1 :]]
    return arguments
