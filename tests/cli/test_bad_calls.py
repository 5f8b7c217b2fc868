"""A hundred bad calls: one sentence on stderr, nothing on stdout, status 2, and nothing made on the
disk.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from paracosm.cli.main import COMMANDS, main

pytestmark = pytest.mark.usefixtures("_environment_as_it_was")

LONG = "n" * 300
DIGITS = "9" * 20
NOISE = "--gradient-variance 40 --noise-coefficient 6"
LABELS = f"labels --budget 5000 --cost-rollout 1 {NOISE} --fidelity power:2.0,0.7"
MIXTURE = (
    "labels --budget 5000 --cheap-cost 1 --gold-cost 20 --cheap-variance 50 --gold-variance 40"
    " --correlation 0.8"
)
PLAN = (
    "plan $HERE/curves.csv --error rms --budget 20000 --weight-dynamics 3 --weight-reward 1"
    " --cost-dynamics 1"
)

# The call, and words that its sentence must hold. $HERE is a folder with files to trip over.
CALLS = {
    # Commands.
    "frobnicate": "no command 'frobnicate'",
    "''": "no command ''",
    "--frobnicate": "no command '--frobnicate'",
    LONG: "no command",
    # What the parser refuses.
    "run Pendulum-v1 --transitions abc": "--transitions is 'abc'; a whole number",
    "run Pendulum-v1 --transitions 1.5": "--transitions is '1.5'; a whole number",
    "run Pendulum-v1 --transitions": "--transitions is given without a value",
    f"run Pendulum-v1 --episodes {'9' * 5000}": "--episodes has thousands of digits",
    "run Pendulum-v1 --episodes x": "--episodes is 'x'",
    "run Pendulum-v1 --seed 1e5": "--seed is '1e5'; a whole number",
    "run Pendulum-v1 --budget lots": "--budget is 'lots'; a number",
    "run Pendulum-v1 --action-range -1": "--action-range is '-1'; a pair of numbers is needed",
    "run Pendulum-v1 --action-range low 1": "a pair of numbers is needed",
    "run Pendulum-v1 --action-range 1 -1": "--action-range is (1.0, -1.0); two finite numbers",
    "run Pendulum-v1 --action-range -1 1": "is bounded already",
    "run Pendulum-v1 --state-scale 3": "--state-scale is '3'; it must be a JSON object",
    "run Pendulum-v1 --nonsense 3": "--nonsense, 3 is not known to paracosm run",
    "run Pendulum-v1 --transition 400": "--transition, 400 is not known",
    "run Pendulum-v1 CartPole-v1": "CartPole-v1 is not known",
    "run Pendulum-v1 --imagine.baseline both": "--imagine.baseline is 'both'; it must be one of",
    "run Pendulum-v1 --imagine.horizon 0": "--imagine.horizon is 0; it must be at least 1",
    "run Pendulum-v1 --imagine.rollouts 1 --imagine.baseline leave-one-out": "rollouts is 1",
    "run Pendulum-v1 --imagine.visited 2": "--imagine.visited is 2",
    "run Pendulum-v1 --learn.fit.members 0": "--learn.fit.members is 0",
    "run Pendulum-v1 --learn.fit.rates x": "--learn.fit.rates",
    "run Pendulum-v1 --learn.validation 2": "--learn.validation is 2",
    "run Pendulum-v1 --learn.margin -1": "--learn.margin is -1",
    "audit --episodes ten": "--episodes is 'ten'",
    "audit a b": "b is not known to paracosm audit",
    "plan": "CURVES|RUN and --budget MONEY",
    "plan curves.csv": "paracosm plan needs --budget MONEY",
    "plan curves.csv --budget x": "--budget is 'x'; a number",
    "plan curves.csv --budget 1 --error mean": "--error is 'mean'; it must be one of 'mse', 'rms'",
    "plan curves.csv --budget 1 --weights best": "--weights is 'best'",
    "plan curves.csv --budget 1 --lot-dynamics 1.5": "--lot-dynamics is '1.5'",
    "labels --budget x": "--budget is 'x'",
    "labels --weighting heavy": "--weighting is 'heavy'",
    "bench classic --workers two": "--workers is 'two'",
    "paper E1 --scale huge": "--scale is 'huge'; it must be one of 'full', 'quick'",
    "paper E1 --workers two": "--workers is 'two'",
    "report": "paracosm report needs PATH",
    "export": "paracosm export needs PATH",
    "export run --to tf": "--to is 'tf'; it must be one of 'numpy', 'onnx', 'torch'",
    "report a b": "b is not known",
    # Where to write.
    "run Pendulum-v1 --out ''": "--out is empty",
    "run Pendulum-v1 --out=": "--out is empty",
    "run Pendulum-v1 --out .": "is or holds the current folder",
    "run Pendulum-v1 --out ..": "is or holds the current folder",
    "run Pendulum-v1 --out /": "is or holds the current folder",
    "run Pendulum-v1 --out x/..": "is or holds the current folder",
    f"run Pendulum-v1 --out {LONG}": "cannot be written: File name too long",
    f"run Pendulum-v1 --out new/{LONG}/run": "cannot be written: File name too long",
    f"run Pendulum-v1 --out {'d/' * 2100}run": "File name too long",
    "run Pendulum-v1 --out $HERE/file": "which is a file; a folder",
    "run Pendulum-v1 --out $HERE/file/run": "cannot be written: Not a directory",
    "run Pendulum-v1 --out /dev/null": "which is a file; a folder",
    "run Pendulum-v1 --out /proc/run": "cannot be written",
    "run Pendulum-v1 --out $HERE/thesis": "exists and holds no run; choose another --out",
    "run Pendulum-v1 --out $HERE/thesis --force": "exists and holds no run",
    "run Pendulum-v1 --out $HERE/thesis --resume": "exists and holds no run",
    "run Pendulum-v1 --out $HERE/configured": "its config.json is damaged or not a run's",
    "run Pendulum-v1 --out $HERE/configured --force": "its config.json is damaged or not a run's",
    "run Pendulum-v1 --out $HERE/configured --resume": "its config.json is damaged or not a run's",
    "run Pendulum-v1 --out $HERE/loop": "cannot be written",
    "run Pendulum-v1 --resume --force": "both --resume and --force",
    "run Pendulum-v1 --data $HERE/mine.npz --out $HERE": "lies inside --out",
    "run Pendulum-v1 --data $HERE/mine.npz --out $HERE --force": "lies inside --out",
    "run Pendulum-v1 --data $HERE/link.npz --out $HERE/thesis": "lies inside --out",
    f"{LABELS} --out .": "which is a folder; a file",
    f"{LABELS} --out /": "which is a folder; a file",
    f"{LABELS} --out ''": "--out is empty",
    f"{LABELS} --out {LONG}": "File name too long",
    f"{LABELS} --out new/{LONG}": "File name too long",
    f"{LABELS} --out /dev/full": "a device or a pipe; a file",
    f"{LABELS} --out $HERE/file/page.html": "Not a directory",
    f"{LABELS} --out /proc/page.html": "cannot be written",
    f"{PLAN} --cost-reward 1 --out $HERE": "which is a folder; a file",
    "audit nowhere --out $HERE": "which is a folder; a file",
    "report nowhere --out $HERE": "which is a folder; a file",
    "compare nowhere here --out $HERE": "which is a folder; a file",
    "bench classic --out ''": "--out is empty",
    "bench classic --out /": "is or holds the current folder",
    "bench classic --out $HERE/file": "which is a file; a folder",
    "paper E1 --out ''": "--out is empty",
    "paper E1 --out /": "is or holds the current folder",
    "paper E1 --out $HERE/file": "which is a file; a folder",
    f"paper all --out {LONG}": "File name too long",
    # What to read.
    "run": "no environment is named",
    "run --env ''": "an argument is empty",
    "run Pendulum-v9": "no Gymnasium environment 'Pendulum-v9'",
    "run Pendulum-v1 --data nothing.npz": "no file nothing.npz",
    "run Pendulum-v1 --data $HERE/file": "is not a data set",
    "run Pendulum-v1 --data $HERE/mine.npz": "is not an npz file of plain arrays",
    "run Pendulum-v1 --env-kwargs nonsense": "--env-kwargs",
    "run nowhere:make": "nowhere",
    "run Pendulum-v1 --reward nowhere:reward": "nowhere",
    "audit": "what to audit is not named",
    "audit nowhere": "nowhere is no run directory",
    "audit nowhere --world a:b": "both a run directory and --world",
    "audit ''": "is empty",
    f"audit {LONG}": "is no run directory",
    "audit $HERE/thesis": "is no run directory",
    "audit $HERE/configured": "is not of a run",
    "audit $HERE/file": "is no run directory",
    "report nowhere": "nowhere is no run directory",
    "export nowhere": "--to is not given",
    "export nowhere --to numpy": "nowhere is no run directory",
    "export nowhere --to numpy --out $HERE": "which is a folder; a file",
    f"report {LONG}": "is no run directory",
    "report $HERE/configured": "is not of a run",
    "compare": "a comparison needs at least two",
    "compare nowhere": "a comparison needs at least two",
    "compare nowhere ./nowhere": "a comparison needs at least two",
    "compare nowhere here": "nowhere is no run directory",
    "compare nowhere here --gate none.toml": "there is no gate file none.toml",
    f"compare {LONG} here": "is no run directory",
    "deploy": "--old is not given",
    "deploy --old nowhere --new neither": "nowhere is no run directory",
    "audit nowhere --search mppi": "nowhere is no run directory",
    "audit --world a:b --policy a:b --env E --search cem": "--search is of a run",
    "data": "paracosm data needs FILE",
    "data nothing.csv": "no file nothing.csv",
    "data $HERE/file": "is not a data set",
    "data $HERE/thesis": "is a folder without data/",
    "data $HERE/mine.npz": "is not an npz file of plain arrays",
    "data $HERE/curves.csv": "has no column that is known to be the state or the action",
    "data $HERE/curves.csv --columns state=speed": "no column 'speed', which the column map gives",
    "data $HERE/curves.csv --columns speed=error": "the column map names 'speed'; it may name",
    "data $HERE/curves.csv --columns error": "--columns holds 'error'; ROLE=COLUMN",
    "data $HERE/curves.csv --to x.doc": "x.doc is not a data set",
    "data $HERE/curves.csv --to $HERE/curves.csv": "which is read; another file",
    "run Pendulum-v1 --columns state=x": "--columns is given without --data",
    "rank": "no run is given",
    "deploy mc1 mc2": "mc1 is given without --old or --new",
    "rank nowhere": "nowhere is no run directory",
    "rank nowhere --episodes x": "a whole number is needed",
    "rank nowhere --out $HERE": "which is a folder; a file",
    "indicators": "no training is given",
    "indicators nowhere": "there is no folder nowhere",
    "indicators $HERE/thesis": "is no run and holds no *.json",
    "indicators $HERE/configured": "config.json holds no audit of this version",
    "indicators nowhere --lag x": "--lag is 'x'; a whole number",
    "indicators nowhere --lag 0": "lag is 0",
    "indicators nowhere --out $HERE": "which is a folder; a file",
    "plan nowhere.csv --budget 100": "nowhere.csv does not exist",
    f"plan {LONG} --budget 100": "does not exist",
    "plan $HERE/configured --budget 100": "is not of a run",
    "plan $HERE/curves.csv --budget 100": "--weight-reward, --cost-dynamics and --cost-reward are",
    PLAN: "--cost-reward is not given",
    f"{PLAN} --cost-reward 1 --episodes 9": "--episode-deviation is not given",
    f"{PLAN} --cost-reward 1 --episode-deviation 9": "is for --episodes, which is not given",
    "plan $HERE --budget 9 --episode-deviation 9": "--episode-deviation is for a CSV file",
    "labels": "--budget is not given",
    "labels nowhere --budget 100 --fidelity power:2,1": "nowhere is no run directory",
    "labels --budget 100": "--fidelity is not given",
    f"{LABELS} --trust": "--trust and --weighting are of a run directory; none is given",
    f"{MIXTURE} --trust": "--trust and --weighting are of a run directory; none is given",
    f"{MIXTURE} --weighting plain": "--trust and --weighting are of a run directory",
    MIXTURE: "--bias is not given",
    "bench atari": "no suite 'atari'; classic, mujoco",
    "bench $HERE/none.toml": "there is no file",
    "bench classic --seeds 1,1": "seed 1 is given more than once",
    "bench classic --seeds three": "--seeds is 'three'; a count",
    "bench classic --learners sac": "there is no learner 'sac'",
    "bench classic --learners no_module:make": "no_module",
    "bench classic --learners pathwise --transitions 3": "is not known to paracosm bench",
    "bench classic --episodes 1": "episodes is 1",
    "bench classic --ray local": "--ray is 'local'",
    "bench classic --retry-failed": "there is no sweep",
    "paper E99": "E99",
    "paper E1 --ray local": "--ray is 'local'",
    # Numbers.
    "run Pendulum-v1 --transitions 0": "--transitions is 0",
    "run Pendulum-v1 --rounds 0": "--rounds is 0",
    "run Pendulum-v1 --encoder window": "window:K, such as window:4",
    "run Pendulum-v1 --encoder window:x": "window:K, such as window:4",
    "run Pendulum-v1 --encoder window:99999": "the K of --encoder window:K is 99999",
    "run CartPole-v1 --planner gradient": "needs continuous ones",
    "run CartPole-v1 --planner mppi --imagine.horizon 9": "both --planner and --imagine",
    "run Pendulum-v1 --encoder window:0": "the K of --encoder window:K is 0",
    "run Pendulum-v1 --encoder no_module:make": "no_module",
    "run Pendulum-v1 --encoder window:2 --data x.npz": "both --data and --encoder are given",
    "run Pendulum-v1 --caution brave": "--caution is 'brave'",
    "run Pendulum-v1 --planner chess": "--planner is 'chess'",
    "run Pendulum-v1 --planner no_module:make": "no_module",
    "run Pendulum-v1 --planner mppi --learner reinforce": "both --planner and --learner",
    "run Pendulum-v1 --planner mppi --budget 9000 --rounds 2": "both --planner and --budget",
    "audit --world a:b --policy a:b --env Pendulum-v1 --planner cem": "--planner is of a run",
    "audit $HERE/configured --all-steps --most-imagined-steps 9": "both --all-steps and",
    "audit $HERE/configured --most-imagined-steps 0": "--most-imagined-steps is 0",
    "run Pendulum-v1 --discount 2": "--discount is 2",
    f"run Pendulum-v1 --seed {DIGITS}": "--seed is",
    "run Pendulum-v1 --seed -1": "--seed is -1",
    **{
        f"run Pendulum-v1 --{name} {DIGITS}": f"--{name} is an integer of 20 digits"
        for name in (
            "transitions",
            "reward-labels",
            "rounds",
            "episodes",
            "workers",
            "imagine.rollouts",
        )
    },
    "run Pendulum-v1 --imagine.clip -1": "--imagine.clip is -1",
    "run Pendulum-v1 --imagine.entropy nan": "--imagine.entropy is nan",
    "run Pendulum-v1 --learn.margin inf": "--learn.margin is inf",
    "run Pendulum-v1 --noise inf": "--noise is inf",
    "run Pendulum-v1 --noise nan": "--noise is nan",
    "run Pendulum-v1 --cost-reward inf": "--cost-reward is inf",
    "run Pendulum-v1 --budget nan --rounds 2": "--budget is nan",
    "run Pendulum-v1 --budget 1 --rounds 2": "needs",
    "run Pendulum-v1 --budget 1000 --transitions 100": "both --budget and --transitions",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """A folder with what one may trip over."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "file").write_text("a file")
    (folder / "mine.npz").write_bytes(b"years of work")
    (folder / "curves.csv").write_text("part,samples,error\ndynamics,100,1.0\n")
    (folder / "thesis").mkdir()
    (folder / "thesis" / "thesis.tex").write_text("years of work")
    (folder / "thesis" / "own.npz").write_bytes(b"data")
    (folder / "link.npz").symlink_to(folder / "thesis" / "own.npz")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "configured" / "data").mkdir(parents=True)
    (folder / "configured" / "config.json").write_text("{}")
    (folder / "configured" / "data" / "x.npz").write_bytes(b"of another program")
    return folder


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder and what it holds."""
    paths = sorted(folder.rglob("*"))
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in paths
    }


def test_there_are_a_hundred_calls_and_every_command_is_among_them():
    assert len(CALLS) >= 100
    assert {shlex.split(call)[0] for call in CALLS} >= set(COMMANDS)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[:70])
def test_a_bad_call_is_one_sentence_and_makes_nothing(call, here, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    before = contents(here)
    assert main([word.replace("$HERE", str(here)) for word in shlex.split(call)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("paracosm: ")
    assert err.endswith(".\n")
    assert err.count("\n") == 1, err
    assert CALLS[call] in err
    assert len(err) < 600, err
    assert contents(tmp_path) == {}
    assert contents(here) == before
