"""Optimiser steps of E2's students per second: Paracosm's sweep worker against PyTorch, and against
the machine.

    python -m benchmarks.sweep

Students 16→64→12 (dynamics) and 16→64→1 (reward), ReLU, batch 256, Adam, as many steps of one as of
the other, on 20,000 rows that are shuffled every epoch. Everybody has two cores: two processes of
one thread, or one process of two. PyTorch is written as the loop that everybody writes, with Adam
as it comes and fused; and with 64 seeds stacked, by products of batches of matrices, by
`torch.func.vmap`, and that compiled. Stacked seeds have a tenth of the rows and are spared a
shuffle of their own. All processes live throughout and are asked in turn, so the rounds are
interleaved.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NamedTuple

from paracosm.sweep import worker

INPUTS, HIDDEN, OUTPUTS, BATCH, SEEDS, RATE = 16, 64, (12, 1), 256, 64, 1e-3
ROWS = 20_000
# Forward: two products. Backward: one for the first layer, which needs no gradient of its inputs,
# two for the second.
FLOP = sum(2 * BATCH * HIDDEN * (2 * INPUTS + 3 * outputs) for outputs in OUTPUTS) / len(OUTPUTS)

Job = tuple[Callable[[], object], int]
"""A call, and how many steps of one student it takes."""


def ours(threads: int) -> Job:
    """What a cell of E2 runs, without the teacher: both students of a seed in one program."""
    import jax

    from paracosm.paper.students import Regression, train

    epochs = 40
    keys = jax.random.split(jax.random.key(0), 4)
    inputs = jax.random.uniform(keys[0], (ROWS, INPUTS), minval=-1)
    targets = [
        jax.random.normal(key, (ROWS, outputs))
        for key, outputs in zip(keys[1:3], OUTPUTS, strict=True)
    ]
    run = jax.jit(lambda key, x, ys: train(key, x, [Regression(y) for y in ys], epochs=epochs))
    return lambda: jax.block_until_ready(run(keys[3], inputs, targets)), 2 * epochs * (
        ROWS // BATCH
    )


def _eager(threads: int, fused: bool) -> Job:
    import torch

    torch.set_num_threads(threads)

    def student(outputs: int) -> Callable[[], None]:
        network = torch.nn.Sequential(
            torch.nn.Linear(INPUTS, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, outputs)
        )
        adam = torch.optim.Adam(network.parameters(), RATE, fused=fused)
        x, y = torch.rand(ROWS, INPUTS) * 2 - 1, torch.randn(ROWS, outputs)

        def epoch() -> None:
            order = torch.randperm(ROWS)[: ROWS // BATCH * BATCH]
            for some_x, some_y in zip(x[order].split(BATCH), y[order].split(BATCH), strict=True):
                adam.zero_grad()
                torch.nn.functional.mse_loss(network(some_x), some_y).backward()
                adam.step()

        return epoch

    students = [student(outputs) for outputs in OUTPUTS]
    return lambda: [epoch() for _ in range(5) for epoch in students], 10 * (ROWS // BATCH)


def eager(threads: int) -> Job:
    """The loop that everybody writes."""
    return _eager(threads, fused=False)


def fused(threads: int) -> Job:
    """The same with Adam in one kernel."""
    return _eager(threads, fused=True)


def stacked(threads: int) -> Job:
    """64 seeds in products of batches of matrices, one backward pass for all, fused Adam."""
    import torch

    torch.set_num_threads(threads)

    def students(outputs: int) -> Callable[[], None]:
        parameters = _stack(outputs)
        for parameter in parameters:
            parameter.requires_grad_()
        adam = torch.optim.Adam(parameters, RATE, fused=True)

        def step(x: torch.Tensor, y: torch.Tensor) -> None:
            adam.zero_grad()
            W, b, V, c = parameters
            answer = torch.baddbmm(c, torch.baddbmm(b, x, W).relu(), V)
            (answer - y).square().mean((1, 2)).sum().backward()
            adam.step()

        return _epoch(step, outputs)

    return _of_both(students)


def vmapped(threads: int) -> Job:
    """64 seeds by `torch.func.vmap` of the gradient of one, Adam by hand on the stacks."""
    return _functional(threads, compiled=False)


def compiled(threads: int) -> Job:
    """The same, compiled."""
    return _functional(threads, compiled=True)


def _functional(threads: int, compiled: bool) -> Job:
    import torch

    torch.set_num_threads(threads)

    def loss(parameters: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        W, b, V, c = parameters
        return ((x @ W + b).relu() @ V + c - y).square().mean()

    def update(
        state: tuple[list[torch.Tensor], ...], count: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> None:
        """A step of Adam in place, of all seeds.

        Args:
            state: parameters and both moments, `[seed, …]` each.
            count: steps so far, this one included.
            x, y: the batch, `[seed, rows, …]`.
        """
        parameters, first, second = state
        slopes = torch.func.vmap(torch.func.grad(loss))(parameters, x, y)
        for p, m, v, g in zip(parameters, first, second, slopes, strict=True):
            m.lerp_(g, 0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            p.sub_(RATE * (m / (1 - 0.9**count)) / ((v / (1 - 0.999**count)).sqrt() + 1e-8))

    def students(outputs: int) -> Callable[[], None]:
        parameters = _stack(outputs)
        state = (parameters, *([torch.zeros_like(p) for p in parameters] for _ in range(2)))
        count, run = torch.zeros(()), torch.compile(update) if compiled else update

        def step(x: torch.Tensor, y: torch.Tensor) -> None:
            with torch.no_grad():
                run(state, count.add_(1), x, y)

        return _epoch(step, outputs)

    return _of_both(students)


def _stack(outputs: int) -> list:
    import torch

    shapes = ((INPUTS, HIDDEN), (1, HIDDEN), (HIDDEN, outputs), (1, outputs))
    return [(torch.rand(SEEDS, *shape) * 2 - 1) / 8 for shape in shapes]


def _epoch(step: Callable[..., None], outputs: int, rows: int = 2048) -> Callable[[], None]:
    """An epoch over rows of which each seed has its own."""
    import torch

    x, y = torch.rand(SEEDS, rows, INPUTS) * 2 - 1, torch.randn(SEEDS, rows, outputs)

    def epoch() -> None:
        order = torch.randperm(rows)
        for x_batch, y_batch in zip(
            x[:, order].split(BATCH, 1), y[:, order].split(BATCH, 1), strict=True
        ):
            step(x_batch.contiguous(), y_batch.contiguous())

    return epoch


def _of_both(students: Callable[[int], Callable[[], None]]) -> Job:
    epochs = [students(outputs) for outputs in OUTPUTS]
    return lambda: [epoch() for _ in range(2) for epoch in epochs], 2 * 2 * SEEDS * (2048 // BATCH)


class Contestant(NamedTuple):
    """How it is written, in how many processes, of how many threads."""

    job: Callable[[int], Job]
    processes: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.job.__name__}, {self.processes} x {self.threads}"


CONTESTANTS = [Contestant(ours, 2, 1)]
CONTESTANTS += [
    Contestant(job, n, 3 - n) for job in (eager, fused, stacked, vmapped, compiled) for n in (1, 2)
]


class Team:
    """The processes of a contestant, which wait until they are asked."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        context, before = multiprocessing.get_context("spawn"), dict(os.environ)
        single = contestant.threads == 1
        os.environ.update(
            worker.environment() if single else {"OMP_NUM_THREADS": str(contestant.threads)}
        )
        self.connections: list[Connection] = []
        for core in range(contestant.processes):
            parent_end, child_end = context.Pipe()
            arguments = (contestant, core if single else -1, child_end)
            context.Process(target=serve, args=arguments, daemon=True).start()
            child_end.close()
            self.connections.append(parent_end)
        os.environ.clear()
        os.environ.update(before)
        try:
            self.steps = [connection.recv() for connection in self.connections]
        except EOFError:
            self.steps = []

    def rate(self) -> float:
        """Steps per second of all processes together."""
        began = time.perf_counter()
        for connection in self.connections:
            connection.send(True)
        for connection in self.connections:
            connection.recv()
        return sum(self.steps) / (time.perf_counter() - began)

    def dismiss(self) -> None:
        """End the processes."""
        for connection in self.connections:
            connection.send(False)


def serve(contestant: Contestant, core: int, connection: Connection) -> None:
    """One process of a contestant: warm up, say how many steps a call takes, and then do as
    asked.
    """
    if core >= 0:
        os.sched_setaffinity(0, {core})
    call, steps = contestant.job(contestant.threads)
    call()
    connection.send(steps)
    while connection.recv():
        call()
        connection.send(True)


def peak(connection: Connection) -> None:
    """The best rate of a matrix product in single precision on this machine."""
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    from benchmarks.imagine import matrix_rate

    connection.send(matrix_rate())


def matrix_rate() -> tuple[str, float]:
    """Whose it is, and GFlop/s."""
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    process = context.Process(target=peak, args=(child_end,))
    process.start()
    rate = parent_end.recv()
    process.join()
    return rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
    rounds = parser.parse_args().rounds
    teams = [team for team in map(Team, CONTESTANTS) if team.steps]
    whose, before = matrix_rate()
    rates = [[team.rate() for team in teams] for _ in range(rounds)]
    best = max(before, matrix_rate()[1])
    for team in teams:
        team.dismiss()
    print(
        f"{'':18}{'steps/s':>10}{'µs a step':>11}{'Paracosm is':>13}{'of the best matrix rate':>25}"
    )
    for n, team in enumerate(teams):
        rate, ratio = (
            statistics.median(column)
            for column in zip(*((r[n], r[0] / r[n]) for r in rates), strict=True)
        )
        share = rate * FLOP / 1e9 / best
        print(
            f"{team.contestant.name:18}{rate:10,.0f}{1e6 / rate:11.1f}{ratio:12.2f}x{share:25.0%}"
        )
    stacks = (stacked, vmapped, compiled)
    for name, jobs, processes in (
        ("sequential loop", (eager, fused), (1,)),
        ("loop, two side by side", (eager, fused), (2,)),
        ("stack of seeds", stacks, (1, 2)),
    ):
        theirs = [
            n
            for n, t in enumerate(teams)
            if t.contestant.job in jobs and t.contestant.processes in processes
        ]
        ratio = statistics.median(r[0] / max(r[n] for n in theirs) for r in rates)
        print(f"Paracosm is {ratio:.2f}x the best {name} in PyTorch ({rounds} interleaved rounds)")
    missing = {contestant.name for contestant in CONTESTANTS} - {
        team.contestant.name for team in teams
    }
    print(f"not running here: {', '.join(sorted(missing)) or 'none'}")
    print(f"best matrix rate: {best:.0f} GFlop/s by {whose}; a step has {FLOP / 1e6:.2f} MFlop")


if __name__ == "__main__":
    main()
