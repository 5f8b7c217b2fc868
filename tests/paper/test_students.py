"""Fast students: the gradient by hand, training against Optax on the same batches, and the
shuffle.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from paracosm.core.checks import BadArgument
from paracosm.paper.students import Regression, Student, shuffled, train, untrained
from tests.statistical import assert_frequencies

ROWS, INPUTS, BATCH, EPOCHS = 150, 5, 32, 6
KEY = jax.random.key(2)


def problem(key=0):
    keys = jax.random.split(jax.random.key(key), 3)
    inputs = jax.random.uniform(keys[0], (ROWS, INPUTS), minval=-1)
    targets = jnp.sin(3 * inputs @ jax.random.normal(keys[1], (INPUTS, 3)))
    return inputs, (
        Regression(targets),
        Regression(targets[:, :1] ** 2),
        Regression(targets, "tanh"),
    )


def loss(student, x, y):
    return jnp.mean((student(x) - y) ** 2)


@pytest.mark.parametrize(("head", "outputs"), [("linear", 1), ("tanh", 3)])
def test_the_gradient_by_hand_is_that_of_jax(head, outputs):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(1), 3)
        student = Student(keys[0], INPUTS, 7, outputs, head)
        student = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), student)
        x, y = jax.random.normal(keys[1], (INPUTS, 40)), jax.random.normal(keys[2], (outputs, 40))
        by_hand, by_jax = jax.jit(lambda *a: (a[0].gradient(*a[1:]), jax.grad(loss)(*a)))(
            student, x, y
        )
        jax.tree.map(
            lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=1e-14),
            by_hand,
            by_jax,
        )


def reference(key, inputs, regressions):
    """The usual program: automatic gradients, rows, Optax, one student after the other."""
    students, shuffles = untrained(key, INPUTS, regressions, hidden=8, epochs=EPOCHS)
    adam = optax.adam(1e-3)

    @jax.jit
    def step(student, state, indices, targets):
        slope = jax.grad(loss)(student, inputs[indices].T, targets[indices].T)
        updates, state = adam.update(slope, state)
        return eqx.apply_updates(student, updates), state

    states = [(student, adam.init(student)) for student in students]
    for shuffle in shuffles:
        order = shuffled(shuffle, ROWS)
        for begin in range(0, ROWS - BATCH + 1, BATCH):
            indices = order[begin : begin + BATCH]
            states = [
                step(*state, indices, regression.targets)
                for state, regression in zip(states, regressions, strict=True)
            ]
    return students, [student for student, _ in states]


@functools.cache
def trained(number=3):
    """The first students of the problem, by the program under test."""
    inputs, regressions = problem()
    return jax.jit(
        lambda: train(KEY, inputs, regressions[:number], hidden=8, epochs=EPOCHS, batch=BATCH)
    )()


def test_training_is_that_of_optax_on_the_same_batches():
    before, theirs = reference(KEY, *problem())
    for start, ours, reference_student in zip(before, trained(), theirs, strict=True):
        for a, b, c in zip(*map(jax.tree.leaves, (start, ours, reference_student)), strict=True):
            np.testing.assert_allclose(b, c, atol=2e-6)
            assert np.abs(a - b).max() > 1e-3


def test_a_student_is_what_it_would_be_alone():
    for ours, alone in zip(jax.tree.leaves(trained()[0]), jax.tree.leaves(trained(1)), strict=True):
        np.testing.assert_allclose(ours, alone, atol=2e-6)


def test_what_cannot_be_trained_is_refused():
    inputs, regressions = problem()
    with pytest.raises(BadArgument, match="number of rows is 150; it must be at least 256"):
        train(jax.random.key(0), inputs, regressions)
    with pytest.raises(BadArgument, match="'sigmoid'"):
        train(
            jax.random.key(0), inputs, [Regression(regressions[0].targets, "sigmoid")], batch=BATCH
        )


@pytest.mark.parametrize("rows", [1, 2, 256, 999, 20_011])
def test_a_shuffle_has_every_row_once(rows):
    assert np.array_equal(np.sort(shuffled(jax.random.key(4), rows)), np.arange(rows))


def test_a_shuffle_is_uniform_and_neighbours_part():
    """Where a row goes, and how far it then is from another one, are as by chance."""
    rows, draws = 60, 4000
    orders = jax.jit(jax.vmap(lambda key: shuffled(key, rows)))(
        jax.random.split(jax.random.key(5), draws)
    )
    places = np.argsort(orders, axis=1)
    for row in (0, 1, 29, 59):
        assert_frequencies(np.bincount(places[:, row], minlength=rows), np.full(rows, 1 / rows))
    for row, next_row in ((0, 1), (30, 31), (0, 59), (10, 40)):
        apart = (places[:, row] - places[:, next_row]) % rows
        assert_frequencies(
            np.bincount(apart, minlength=rows)[1:], np.full(rows - 1, 1 / (rows - 1))
        )
