"""Small students trained at the speed of the machine: one hidden layer of ReLUs, mean squared
error, Adam.

For experiments that need thousands of trainings, as E2 does. Measured on a CPU, a step
of the usual program spends most of its time on three things that this one avoids:

- the shuffle: a sort of random keys takes twice as long as the step itself, `shuffled` a tenth of
  it;
- rows: with features first the batch is the long, contiguous axis of every product, whatever the
  number of outputs;
- many small arrays: Adam sees all parameters of all students as one vector.

Students that learn different targets from the same inputs share the shuffle and the reading of the
data, and nothing else: each is what it would be alone, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Key, UInt32

from paracosm.core import checks
from paracosm.core.types import Array, PRNGKey

HEADS = ("linear", "tanh")
ROUNDS = 20  # each moves a row with probability 1/2: none moves it with probability 2^-20
_Carry = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
_DECAY = (0.9, 0.999)  # Adam's usual constants, as is the next
_TINY = 1e-8
_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)  # of the integer hash lowbias32 (Wellons 2018)


class Regression(NamedTuple):
    """What a student is to learn: `targets`, `[rows, outputs]`, and its head, `linear` or
    `tanh`.
    """

    targets: Float[Array, "rows outputs"]
    head: str = "linear"


class Student(eqx.Module):
    """`x ↦ head(V relu(W x + b) + c)`, columns in, columns out: `[inputs, rows] -> [outputs,
    rows]`.
    """

    W: Float[Array, "hidden inputs"]
    b: Float[Array, " hidden"]
    V: Float[Array, "outputs hidden"]
    c: Float[Array, " outputs"]
    head: str = eqx.field(static=True)

    def __init__(self, key: PRNGKey, inputs: int, hidden: int, outputs: int, head: str) -> None:
        """Weights and biases uniform within `1/sqrt(fan in)`, the usual start of a linear layer.

        Args:
            key: of weights and biases.
            inputs, hidden, outputs: numbers of components.
            head: `linear` or `tanh`.
        """
        checks.one_of("head", head, HEADS)
        keys = jax.random.split(key, 4)
        shapes = ((hidden, inputs), (hidden,), (outputs, hidden), (outputs,))
        reach = [1 / math.sqrt(inputs)] * 2 + [1 / math.sqrt(hidden)] * 2
        arrays = (
            jax.random.uniform(k, shape, minval=-r, maxval=r)
            for k, shape, r in zip(keys, shapes, reach, strict=True)
        )
        self.W, self.b, self.V, self.c = arrays
        self.head = head

    def __call__(self, x: Float[Array, "inputs rows"]) -> Float[Array, "outputs rows"]:
        return self._answer(jax.nn.relu(self.W @ x + self.b[:, None]))

    def gradient(self, x: Float[Array, "inputs rows"], y: Float[Array, "outputs rows"]) -> Student:
        """Gradient of the mean squared error over rows and outputs, as a student: five products."""
        hidden = jax.nn.relu(self.W @ x + self.b[:, None])
        answer = self._answer(hidden)
        error = (answer - y) * (2 / y.size)
        if self.head == "tanh":
            error = error * (1 - answer**2)
        back = jnp.where(hidden > 0, _product(self.V, error, 0, 0), 0)
        gradients = (
            _product(back, x, 1, 1),
            back.sum(1),
            _product(error, hidden, 1, 1),
            error.sum(1),
        )
        return eqx.tree_at(
            lambda student: (student.W, student.b, student.V, student.c), self, gradients
        )

    def _answer(self, hidden: Float[Array, "hidden rows"]) -> Float[Array, "outputs rows"]:
        raw = self.V @ hidden + self.c[:, None]
        return jnp.tanh(raw) if self.head == "tanh" else raw


def train(
    key: PRNGKey,
    inputs: Float[Array, "rows inputs"],
    regressions: Sequence[Regression],
    *,
    hidden: int = 64,
    epochs: int = 200,
    batch: int = 256,
    rate: float = 1e-3,
) -> tuple[Student, ...]:
    """A student for each task, trained on the same batches; to be called inside a compiled
    function.

    Every epoch goes through the rows in a fresh order and leaves out those that no longer fill a
    batch.

    Args:
        key: of the first weights and the shuffles.
        inputs: of all students.
        regressions: their targets and heads.
        hidden: ReLUs.
        epochs: passes over the data.
        batch: rows of a step.
        rate: Adam's; its other constants are the usual 0.9, 0.999 and 1e-8.

    Raises:
        BadArgument: fewer rows than one batch, or an unknown head.
    """
    rows, size = inputs.shape
    checks.at_least("the number of rows", rows, batch)
    data = jnp.concatenate([inputs, *(regression.targets for regression in regressions)], 1)
    ends = [
        size + sum(regression.targets.shape[1] for regression in regressions[:n])
        for n in range(len(regressions))
    ]
    students, shuffles = untrained(key, size, regressions, hidden=hidden, epochs=epochs)
    start, rebuild = ravel_pytree(students)

    def step(carry: _Carry, indices: UInt32[Array, " batch"]) -> tuple[_Carry, None]:
        vector, first, second, count = carry
        batch_rows = data.at[indices].get(mode="promise_in_bounds", unique_indices=True).T
        x, *answers = jnp.split(batch_rows, ends)
        slopes = [
            student.gradient(x, y) for student, y in zip(rebuild(vector), answers, strict=True)
        ]
        slope, count = ravel_pytree(tuple(slopes))[0], count + 1
        first = _DECAY[0] * first + (1 - _DECAY[0]) * slope
        second = _DECAY[1] * second + (1 - _DECAY[1]) * slope**2
        mean, square = first / (1 - _DECAY[0] ** count), second / (1 - _DECAY[1] ** count)
        return (vector - rate * mean / (jnp.sqrt(square) + _TINY), first, second, count), None

    def epoch(carry: _Carry, shuffle: PRNGKey) -> tuple[_Carry, None]:
        order = shuffled(shuffle, rows)[: rows // batch * batch].reshape(-1, batch)
        return jax.lax.scan(step, carry, order)

    nothing = jnp.zeros_like(start)
    return rebuild(jax.lax.scan(epoch, (start, nothing, nothing, jnp.zeros(())), shuffles)[0][0])


def untrained(
    key: PRNGKey,
    inputs: int,
    regressions: Sequence[Regression],
    *,
    hidden: int = 64,
    epochs: int = 200,
) -> tuple[tuple[Student, ...], Key[jax.Array, " epochs"]]:
    """The students before training, and the key of each epoch's shuffle, `[epochs]`.

    Args:
        key: of weights and shuffles.
        inputs: number of input components.
        regressions: what students are to learn.
        hidden: ReLUs.
        epochs: passes over the data.
    """
    for_students, for_shuffles = jax.random.split(key)
    keys = [jax.random.fold_in(for_students, n) for n in range(len(regressions))]
    students = [
        Student(k, inputs, hidden, regression.targets.shape[1], regression.head)
        for k, regression in zip(keys, regressions, strict=True)
    ]
    return tuple(students), jax.random.split(for_shuffles, epochs)


def shuffled(key: PRNGKey, rows: int) -> UInt32[Array, " rows"]:
    """A random order of `rows` rows by the swap-or-not shuffle (Hoang, Morris and Rogaway 2012),
    without a sort.

    Each round reflects the numbers about a random pivot, and a hash of the pair says which pairs
    change places: what is left of the old order shrinks by a factor with every round.
    """
    pivots, salts = jax.random.bits(key, (2, ROUNDS))
    order = jnp.arange(rows, dtype=jnp.uint32)
    for n in range(ROUNDS):
        mirrored = pivots[n] % rows + jnp.uint32(rows) - order
        mirrored = jnp.where(mirrored >= rows, mirrored - jnp.uint32(rows), mirrored)
        hash_bits = (jnp.maximum(order, mirrored) ^ salts[n]) * jnp.uint32(_MULTIPLIERS[0])
        hash_bits = (hash_bits ^ (hash_bits >> 15)) * jnp.uint32(_MULTIPLIERS[1])
        order = jnp.where(hash_bits >> 31, mirrored, order)
    return order


def _product(first: Array, second: Array, first_axis: int, second_axis: int) -> Array:
    """Sum of products over an axis of each, without a transposed copy of either.

    Args:
        first, second: matrices.
        first_axis, second_axis: the axis of each that is summed over.
    """
    return jax.lax.dot_general(first, second, (((first_axis,), (second_axis,)), ((), ())))
