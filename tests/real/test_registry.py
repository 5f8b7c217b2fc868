"""Environments by name, and the sentences that say why one cannot be used."""

import os
import subprocess
import sys
import textwrap

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from paracosm.core import checks
from paracosm.real.native import SystemSource
from paracosm.real.registry import factory_of, import_function
from paracosm.real.verbs import collect, connect
from tests.real.worlds import counter


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ("Pendulm-v1", r"There is no Gymnasium environment 'Pendulm-v1' \(close: Pendulum-v1"),
        ("Pendulum-v0", r"There is no Gymnasium environment 'Pendulum-v0' \(close: Pendulum-v1"),
        ("qqqq", "no Gymnasium environment 'qqqq'; one of your own is named module:function.$"),
        ("no_such_module:make", "The module 'no_such_module' cannot be imported: No module named"),
        (
            "tests.real.worlds:countr",
            r"The module 'tests.real.worlds' has no function 'countr' \(close: counter",
        ),
    ],
)
def test_a_name_that_does_not_exist_is_missing(env, sentence):
    with pytest.raises(checks.Missing, match=sentence):
        factory_of(env)


def test_an_environment_that_moved_to_another_package_is_missing():
    with pytest.raises(
        checks.Missing, match=r"Hopper-v3 needs what is not installed: .* gymnasium-robotics"
    ):
        connect("Hopper-v3")


def test_a_function_of_a_module_in_the_current_directory_gives_an_environment_or_a_system(
    tmp_path, monkeypatch
):
    tmp_path.joinpath("my_world.py").write_text(
        "from tests.real.worlds import counter, walk as system\n"
        "def env(limit): return counter(limit)\n"
        "def neither(): return 3\n"
    )
    for name, line in (
        ("exits", "import sys; sys.exit(3)"),
        ("fails", "raise OSError('no display')"),
    ):
        tmp_path.joinpath(f"{name}.py").write_text(line)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert connect("my_world:env", {"limit": 4}).horizon == 4
    assert isinstance(connect("my_world:system"), SystemSource)
    with pytest.raises(checks.Unsupported, match="my_world:neither gave 3"):
        connect("my_world:neither")
    for name, sentence in (
        ("exits", r"it called sys\.exit\(3\)"),
        ("fails", "it raised OSError: no display"),
    ):
        with pytest.raises(
            checks.Missing, match=f"The module '{name}' cannot be imported: {sentence}"
        ):
            connect(f"{name}:make")
    with pytest.raises(
        checks.BadArgument, match=r"my_world:env cannot be built with \{'difficulty': 2\}"
    ):
        connect("my_world:env", {"difficulty": 2})


def test_an_id_that_a_module_registers_can_be_named_through_it():
    gymnasium.register("Counting-v0", counter, kwargs={"limit": 5})
    try:
        assert connect("tests.real.worlds:Counting-v0").horizon == 5
    finally:
        del gymnasium.registry["Counting-v0"]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "MuJoCo is not installed, run ...",
            r"Hopper-v5 needs MuJoCo: pip install 'paracosm\[mujoco\]'",
        ),
        (
            "Box2D is not installed",
            "Hopper-v5 needs what is not installed: Box2D is not installed.",
        ),
    ],
)
def test_a_missing_package_is_named(monkeypatch, message, sentence):
    def refuse(*_, **__):
        raise gymnasium.error.DependencyNotInstalled(message)

    monkeypatch.setattr(gymnasium, "make", refuse)
    with pytest.raises(checks.Missing, match=sentence):
        factory_of("Hopper-v5")()


@pytest.mark.parametrize(
    ("kwargs", "description"),
    [
        (
            {"observation_space": spaces.Box(0, 255, (80, 80, 3), np.uint8)},
            r"observes images of shape \(80, 80, 3\) and type uint8",
        ),
        ({"observation_space": spaces.Text(3)}, "observes a Text space"),
        ({"action_space": spaces.Tuple([spaces.Discrete(2)])}, "acts on a Tuple space"),
    ],
)
def test_unsupported_spaces_are_refused_with_what_is_supported(kwargs, description):
    with pytest.raises(
        checks.Unsupported,
        match=rf"{description}; (observations of numbers and choices|Box actions) .* are supported",
    ):
        connect(lambda: counter(**kwargs))


def test_the_horizon_is_the_time_limit_and_may_only_be_shortened():
    assert connect("Pendulum-v1").horizon == 200
    assert connect("Pendulum-v1", horizon=20).horizon == 20
    assert collect(connect("Pendulum-v1", horizon=20), 400, seed=0).time.max() == 19
    with pytest.raises(
        checks.BadArgument, match="horizon is 300; Pendulum-v1 ends its episodes at 200 steps"
    ):
        connect("Pendulum-v1", horizon=300)
    with pytest.raises(
        checks.BadArgument, match=r"has no time limit; give --horizon N \(in Python horizon=N\)"
    ):
        connect(lambda: counter().env)
    assert connect(lambda: counter().env, horizon=9).horizon == 9


def test_mujoco_leaves_no_file_behind_and_its_warnings_go_to_logging(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    env = factory_of("HalfCheetah-v5")()
    env.reset(seed=0)
    env.unwrapped.data.qvel[:] = 1e30
    env.step(np.zeros(6))
    assert os.listdir(tmp_path) == []
    assert "The simulation is unstable" in caplog.text


SCRIPT = """
    import sys
    from tests.real.worlds import counter
    from paracosm.real.verbs import collect
    def progress(done, total):
        if done > 40: raise KeyboardInterrupt
    if __name__ == "__main__" or "{guard}" == "no":
        collect(counter, 400, seed=0, workers=2, progress=progress)
"""


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        ("yes", "Interrupted"),
        pytest.param("no", "A collection worker stopped", marks=pytest.mark.full),
    ],
)
def test_interrupted_or_broken_workers_leave_no_process_and_say_why(tmp_path, guard, message):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).replace("{guard}", guard))
    run = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert message in run.stderr.strip().splitlines()[-1]


def test_workers_do_not_pay_for_jax():
    code = (
        "import sys, paracosm.real.workers, paracosm.real.registry; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("drone.py:make_env", r"its name is drone\.$"),
        ("../my_model:make_env", "a module's name is needed, of a file in this folder"),
    ],
)
def test_a_file_in_place_of_a_module_is_told_what_is_needed(name, hint):
    with pytest.raises(checks.Missing, match=hint):
        import_function(name)
