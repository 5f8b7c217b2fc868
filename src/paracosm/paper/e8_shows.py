"""What E8 shows beside its claims: set-up, choices, tables and charts."""

from __future__ import annotations

from collections.abc import Sequence

from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Series, Table
from paracosm.paper.e8_cells import CONSTANTS, DISCOUNT, FREE, HORIZON, MULTIPLES, Sizes
from paracosm.paper.e8_sweeps import PARTS, Measure, Sweep
from paracosm.paper.study import Answer

LOOSE = 1.5  # the multiple of errors that the choice of `EQUAL` is varied to
_FREE_AT = 2 * max(MULTIPLES)  # where charts show what nothing holds


def times(multiple: float) -> str:
    """A multiple of the real constant in words."""
    return "no limit" if multiple == FREE else f"ℓ = {multiple:g} K"


def follows(rank: Estimate) -> str:
    """What a rank correlation with the return says."""
    if rank.high < 0:
        return "rises as it falls"
    return "falls as it falls" if rank.low > 0 else "goes surely with it in neither direction"


def setup(answers: Sequence[Answer]) -> tuple[str, ...]:
    """What was done, in sentences."""
    sizes = Sizes(**answers[0].arguments["sizes"])
    seeds = len({answer.arguments["seed"] for answer in answers})
    constants = "; ".join(f"{name} {f:g} and {r:g}" for name, (f, r) in CONSTANTS.items())
    return (
        "Systems: Gymnasium's pendulum in JAX; a random tanh system s' = U tanh(Ws + Va) with"
        " reward tanh(w·s + v·a), every factor of norm 1; a random linear-quadratic one, norms of A"
        f" and B 0.95 and 0.5. Episodes of {HORIZON} steps, discount {DISCOUNT}.",
        "K, the constants of the real dynamics and reward in scaled states, the largest over the"
        " arguments; of tanh and of linear dynamics by construction, else the largest slope on"
        f" random steps: {constants}. ℓ is one multiple of both,"
        f" {', '.join(f'{m:g}' for m in MULTIPLES)}, or none at all.",
        f"For each of {seeds} seeds {sizes.steps:,} steps of random actions; one network of two"
        f" layers of {sizes.width} for dynamics and reward each, held by LipschitzDynamics and"
        " LipschitzReward; all ℓ of a seed share data, first weights and batches.",
        f"In each world a policy is trained by gradients through it, {sizes.training:,} steps at"
        f" the most with the same settings, and audited on {sizes.episodes} real episodes.",
        "The gap is the real return minus the imagined one of the same policy. Lemma 1 bounds its"
        " size by the largest errors on the real episodes and the constants of dynamics, reward and"
        " policy (L_π), all certified here, over the horizon; the bound with the closed loop's own"
        " constants takes those of world and policy together. Of the policy that does nothing L_π"
        " is 0 in every world, so that only the world is compared.",
    )


def choices(all_sweeps: Sequence[Sweep]) -> tuple[Choice, ...]:
    """What the paper leaves open, and how the conclusion moves when it is varied."""
    closed = "; ".join(f"{s.name} {_interval(s.rank(s.closed_loop))}" for s in all_sweeps)
    loose = "; ".join(
        f"{s.name} {times(s.equal(LOOSE))}, {_interval(s.paired(s.idle, s.equal(LOOSE)))}"
        for s in all_sweeps
    )
    return (
        Choice(
            "how a constant is held",
            "the bound of averaged activations of the whole map, a linear part in place of the"
            " identity, drawn back to ℓ in every step of training",
            "not varied: a tighter certificate would hold less at the same ℓ",
        ),
        Choice(
            "which bound the return should follow",
            "Lemma 1, with the trained policy's own constant",
            f"with the closed loop's own constants the rank correlations are: {closed}",
        ),
        Choice(
            "when errors are equal",
            "both at most 1.1 times those without a limit, of means over seeds",
            f"at most {LOOSE:g} times: {loose} (log10 of the bound over that without a limit)",
        ),
        Choice(
            "what is held",
            "dynamics and reward; the systems show their states, so that no encoder is learned",
            "not varied: an encoder that is held divides its beliefs' spread, in which their"
            " world's constants are counted, by as much",
        ),
        Choice(
            "dynamics and reward at one ℓ",
            "the same multiple of the real constants for both",
            "not varied",
        ),
    )


def tables(all_sweeps: Sequence[Sweep]) -> tuple[Table, Table]:
    """The worlds, and what they are worth to a policy, by system and ℓ."""
    worlds, policies = [], []
    for sweep in all_sweeps:
        for multiple in sweep.results:
            mean = lambda f, s=sweep, m=multiple: f"{s.mean(m, f).mean:.3g}"  # noqa: E731
            name = f"{sweep.name}, {times(multiple)}"
            both = [
                mean(lambda r, k=key, p=part: r[k][p])
                for key in ("error", "certified")
                for part in PARTS
            ]
            worlds.append((name, *both, mean(sweep.idle)))
            gap = [mean(lambda r, t=term: r["gap"][t]) for term in ("total", *PARTS)]
            bounds = (mean(sweep.lemma), mean(sweep.closed_loop))
            constant = mean(lambda r: r["certified"]["policy"])
            real = _interval(sweep.mean(multiple, sweep.real))
            returns = (mean(lambda r: r["imagined"]), real)
            policies.append((name, constant, *bounds, *gap, *returns))
    return (
        Table(
            "The worlds",
            (
                "system, ℓ",
                *(f"{word} {part}" for word in ("error of", "constant of") for part in PARTS),
                "log10 Lemma 1, idle",
            ),
            tuple(worlds),
            "Means over seeds. Errors are held out, root mean square, dynamics in scaled states;"
            " constants are certified by the audit. Idle: the policy that does nothing.",
        ),
        Table(
            "The policies trained in them",
            (
                "system, ℓ",
                "L_π",
                "log10 Lemma 1",
                "log10, closed loop",
                "gap",
                *(f"its {part} term" for part in PARTS),
                "imagined return",
                "real return",
            ),
            tuple(policies),
            "Means over seeds, with Student's t interval of the real return. L_π is certified. The"
            f" gap and its terms are discounted by {DISCOUNT}, the returns are not.",
        ),
    )


def _interval(value: Estimate) -> str:
    return f"{value.mean:.3g} [{value.low:.3g}, {value.high:.3g}]"


def _line(sweep: Sweep, name: str, measure: Measure, mark: str = "line") -> Series:
    """A measure against ℓ, with intervals over seeds.

    Args:
        sweep: Of one system.
        name: Of the series.
        measure: What is drawn.
        mark: How.
    """
    means = [sweep.mean(multiple, measure) for multiple in sweep.results]
    x = tuple(min(multiple, _FREE_AT) for multiple in sweep.results)
    y, low, high = (tuple(getattr(m, end) for m in means) for end in ("mean", "low", "high"))
    return Series(name, x, y, "dashed" if mark == "dashed" else "line", low, high)


def charts(all_sweeps: Sequence[Sweep]) -> tuple[Chart, ...]:
    """Errors, bounds and returns against ℓ."""
    axis, last = "ℓ / K", f"No limit is drawn at {_FREE_AT:g}."
    shares = [
        _line(s, s.name, lambda r: r["error"]["dynamics"] / r["baseline"]["dynamics"])
        for s in all_sweeps
    ]
    bounds = [_line(s, s.name, s.idle) for s in all_sweeps]
    returns = [
        Chart(
            f"return-{s.name}",
            f"Return in the {s.name} system",
            axis,
            "return",
            (
                _line(s, "real", s.real),
                _line(s, "imagined", lambda r: r["imagined"], "dashed"),
            ),
            f"Of policies trained at each ℓ, 95% intervals over seeds. {last}",
            True,
        )
        for s in all_sweeps
    ]
    return (
        Chart(
            "error",
            "Held-out error of the dynamics",
            axis,
            "error / that of a constant",
            tuple(shares),
            f"What holding the constant costs. {last}",
            True,
        ),
        Chart(
            "bound",
            "Lemma 1 of the policy that does nothing",
            axis,
            "log10 of the bound",
            tuple(bounds),
            f"The product of errors and constants. {last}",
            True,
        ),
        *returns,
    )
