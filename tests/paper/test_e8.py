"""E8: a world whose constants are held, small; and verdicts that turn with the answers."""

import numpy as np
import pytest

from paracosm.auditing.lipschitz import eclipse, readers
from paracosm.paper import e8, e8_cells
from paracosm.paper.e8_cells import CONSTANTS, FREE, Sizes
from paracosm.paper.e8_sweeps import sweeps
from paracosm.paper.study import Answer

SMALL = Sizes(steps=200, width=8, epochs=5, training=50, episodes=2)


@pytest.mark.parametrize("system", list(CONSTANTS))
def test_the_constants_of_the_real_parts_are_those_of_their_steepest_slopes(system):
    """On random steps: within a tenth of the largest norm of a Jacobian, reached from below."""
    import jax

    bought = e8_cells._bought(system, 500, 0)
    world, rows = e8_cells._system(system), bought.data.transitions
    scale, key = np.asarray(bought.spec.state_scale), jax.random.key(0)
    move = lambda s, a, t: world.dynamics(s * scale, a, key) / scale  # noqa: E731
    pay = lambda s, a, t: world.reward(s * scale, a, t * scale)[None]  # noqa: E731
    for function, constant in zip((move, pay), CONSTANTS[system], strict=True):
        jacobian = jax.vmap(jax.jacfwd(function, argnums=(0, 1)))
        slopes = jacobian(rows.state / scale, rows.action, rows.next_state / scale)
        steepest = max(np.linalg.norm(slope, 2, axis=(1, 2)).max() for slope in slopes)
        assert 0.8 < steepest / constant < 1.01


@pytest.mark.full
def test_a_world_is_held_at_its_multiple_and_none_is_held_without():
    bought = e8_cells._bought("tanh", SMALL.steps, 0)
    for multiple in (0.5, FREE):
        world = e8_cells._world("tanh", multiple, bought, SMALL, 0).world
        upper = eclipse.upper(readers.scaled_dynamics(world), columns=(0, 4))
        assert (upper <= 0.5 * (1 + 1e-6)) is (multiple == 0.5)


def result(multiple, random=None, **changes):
    """A world as the paper would have it: below 1 errors rise, above it the bound does, and the
    return hangs on the error alone.
    """
    capped, noise = min(multiple, 4.0), 0.0 if random is None else 0.01 * random.normal()
    error = 0.01 * max(1, 1 / multiple) ** 3 * (1 + noise)
    of_parts = {"dynamics": error, "reward": error}
    values = {
        "error": of_parts,
        "baseline": {"dynamics": 1.0, "reward": 1.0},
        "certified": {"dynamics": capped * 0.95, "reward": capped * 0.95, "policy": 2.0},
        "proven": True,
        "bounds": {"global": 20 * capped + noise, "closed_loop": 10 * capped + noise},
        "idle": {"bound": 5 * capped + noise, "gap": 0.1},
        "gap": {"total": 0.2, "dynamics": 0.1, "reward": 0.1},
        "imagined": 1.0,
        "real": -100 * error + noise,
    }
    return values | changes


def answers(change=lambda multiple, result: result):
    random, answer_list = np.random.default_rng(0), []
    for cell in e8_cells.cells("full"):
        multiple = cell.arguments["multiple"]
        answer_list.append(
            Answer(cell.function, cell.arguments, change(multiple, result(multiple, random)))
        )
    return answer_list


def claims(change=lambda multiple, result: result):
    return {claim.id: claim for claim in e8.read(answers(change)).claims}


def test_cells_cover_every_limit_and_share_all_but_it():
    cells = e8_cells.cells("full")
    assert len(cells) == 3 * 6 * e8_cells.SEEDS["full"]
    first = {cell.arguments["multiple"] for cell in cells[:6]}
    assert first == {*e8_cells.MULTIPLES, FREE}
    assert len({(c.arguments["system"], c.arguments["seed"]) for c in cells[:6]}) == 1


def test_the_smallest_limit_at_equal_error_is_found_and_tightens_the_bound():
    assert [sweep.equal() for sweep in sweeps(answers())] == [1.0] * 3
    by_id = claims()
    for system in CONSTANTS:
        claim = by_id[f"tightened_{system}"]
        assert claim.verdict == "agrees"
        assert claim.ours == pytest.approx(5 * (1 - 4), abs=0.05)
        assert by_id[f"return_at_equal_error_{system}"].low < 0.1


def test_the_return_goes_with_the_error_and_not_with_the_bound_where_it_is_made_so():
    by_id, text = claims(), e8.read(answers()).found
    for system in CONSTANTS:
        assert by_id[f"follows_error_{system}"].high < 0
        assert by_id[f"follows_{system}"].low > 0
        assert by_id[f"choosing_{system}"].low > 1
    assert "Does the return follow the bound? No:" in text
    assert "surely loses return in 3 of 3" in text
    assert "surely tightens Lemma 1's bound" in text
    assert "in 3 of these" in text
    assert "So hold the constant down" in text


def test_errors_that_are_nearly_equal_are_told_apart_from_equal_ones():
    def dearer(multiple, result):
        error = result["error"]["dynamics"] * (1 if multiple == FREE else 1.3)
        return result | {"error": {"dynamics": error, "reward": error}}

    text = e8.read(answers(dearer)).found
    assert "in 0 of 3 systems" in text
    assert text.count("system ℓ = 1 K has errors 1.") == 3
    assert "So hold the constant down" not in text


def test_the_answer_turns_with_the_numbers():
    following = e8.read(answers(lambda m, r: r | {"real": -r["bounds"]["global"]})).found
    assert "Does the return follow the bound? Yes:" in following
    assert "surely loses return in 0 of 3" in following


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("held", lambda m, r: r | {"certified": {**r["certified"], "reward": 1.001 * 15 * m}}),
        ("violations", lambda m, r: r | {"idle": {"bound": 0.0, "gap": -1.5}}),
        ("violations", lambda m, r: r | {"proven": m != FREE}),
        ("tightened_tanh", lambda m, r: r | {"idle": {"bound": -r["idle"]["bound"], "gap": 0.1}}),
    ],
)
def test_a_verdict_turns_when_the_numbers_do(name, change):
    assert claims()[name].verdict in ("must hold", "agrees")
    assert claims(change)[name].verdict == "differs"


def test_constants_that_are_estimates_are_told():
    claim = claims(lambda m, r: r | {"proven": m != FREE})["violations"]
    assert "In 18 of 108 worlds a constant is an estimate" in claim.why
    assert "estimate" not in claims()["violations"].why


def test_where_errors_are_equal_at_no_limit_nothing_is_compared_at_one():
    errors = {"error": {"dynamics": 9.0, "reward": 9.0}}
    worse = claims(lambda m, r: r | ({} if m == FREE else errors))
    assert claims().keys() - worse.keys() == {
        f"{name}_{system}"
        for name in ("tightened", "return_at_equal_error")
        for system in CONSTANTS
    }


def test_what_is_shown_has_every_system_and_limit():
    findings = e8.read(answers())
    assert [len(table.rows) for table in findings.tables] == [18, 18]
    names = [f"return-{name}" for name in CONSTANTS]
    assert [chart.name for chart in findings.charts] == ["error", "bound", *names]
    assert all(len(line.x) == 6 for chart in findings.charts for line in chart.series)


@pytest.mark.full
@pytest.mark.parametrize("system", list(CONSTANTS))
def test_a_cell_keeps_what_is_proved(system):
    import dataclasses

    sizes = dataclasses.asdict(Sizes(steps=500, width=16, epochs=40, training=100, episodes=4))
    answer = e8_cells.held(system=system, multiple=0.75, seed=0, sizes=sizes)
    assert answer["proven"]
    for part, constant in zip(("dynamics", "reward"), CONSTANTS[system], strict=True):
        assert answer["certified"][part] <= 0.75 * constant * (1 + 1e-6)
    assert abs(answer["gap"]["total"]) <= 10 ** answer["bounds"]["global"]
    assert abs(answer["idle"]["gap"]) <= 10 ** answer["idle"]["bound"]
    assert answer["gap"]["total"] == pytest.approx(
        answer["gap"]["dynamics"] + answer["gap"]["reward"], abs=1e-6
    )
