"""Plans for the terminal, readable in 80 columns; the verdict comes last, next to the prompt."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paracosm.core.records.decisions import LabelPlan, MixturePlan, Plan
from paracosm.core.records.results import RunResult
from paracosm.reporting import decision_tables, decision_words, words
from paracosm.reporting.region_terminal import where_to_buy

AnyPlan = Plan | LabelPlan | MixturePlan


def planned(record: AnyPlan) -> RenderableType:
    """What a plan says, in 80 columns, for any rich console."""
    return Group(*_body(record), *_end(record))


def rounds(run: RunResult) -> Table:
    """What each round of a run bought, and why."""
    heads = ("Round", "transitions", "labels", "why")
    return _table(heads, decision_tables.round_rows(run), words_from=3)


def _body(record: AnyPlan) -> list[RenderableType]:
    if isinstance(record, Plan):
        return _plan(record)
    return _labels(record) if isinstance(record, LabelPlan) else _mixture(record)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], words_from: int = 99) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for number, head in enumerate(heads):
        numeric = 0 < number < words_from  # digits on two lines would read as two numbers
        table.add_column(
            head, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _plan(plan: Plan) -> list[RenderableType]:
    splits = [row.cells for row in decision_tables.split_rows(plan)]
    sentences = (
        decision_words.ratio,
        decision_words.regret,
        decision_words.marginal,
        decision_words.worth,
    )
    notes = [sentence(plan) for sentence in sentences]
    heads = ("Evaluation", "episodes", "±95%", "error", "sum")
    evaluation = [
        _table(heads, decision_tables.evaluation_rows(plan)),
        _notes([decision_words.evaluation(plan)]),
    ]
    return [
        _table(("Buy", "units", "price each", "total"), decision_tables.purchase_rows(plan)),
        *(evaluation if plan.evaluation else []),
        _table(("Owned", "now", "bought", "then"), decision_tables.owned_rows(plan)),
        _table(
            ("Predicted error in return", "mean", "95% interval"), decision_tables.error_rows(plan)
        ),
        _table(("Splits", "transitions", "labels", "error", "regret"), splits),
        _notes([decision_words.REGRET_OF_SPLITS]),
        _table(
            (decision_words.budgets_head(plan), "spend", "transitions", "labels", "error"),
            decision_tables.budget_rows(plan),
        ),
        _table(("Curve", *plan.curves), decision_tables.curve_rows(plan)),
        _notes([*notes, plan.disagreement, decision_words.pilot(plan.next_pilot)]),
        *where_to_buy(plan.placement),
    ]


def _labels(plan: LabelPlan) -> list[RenderableType]:
    choices = [row.cells for row in decision_tables.label_rows(plan)]
    heads = ("Choice", "cost a rollout", "rollouts", "repeats", "gradient variance")
    measured = _table(
        ("Gradient’s variance", "mean", "95% interval"), decision_tables.noise_rows(plan)
    )
    noise = [measured] if plan.noise else []
    return [_table(heads, choices), *noise, _notes([decision_words.what_decides(plan)])]


def _mixture(plan: MixturePlan) -> list[RenderableType]:
    heads = ("Labels", "rollouts", "gold", "variance", "bias²", "error²")
    starts = [
        f"From a budget of {budget} on: {name}." for name, budget in decision_words.changes(plan)
    ]
    return [
        _table(heads, decision_tables.mixture_rows(plan)),
        _notes([decision_words.correlation(plan), *starts]),
    ]


def _notes(sentences: list[str]) -> Text:
    return Text("\n".join(filter(None, sentences)) + "\n", style="dim")


def _end(record: AnyPlan) -> list[Text]:
    plan = isinstance(record, Plan)
    money = decision_words.budget(record) if plan else words.price(record.budget)
    budget = Text(f"Budget {money}", style="dim")
    warnings = [Text(f"Warning: {warning}", style="yellow") for warning in record.warnings]
    return [budget, *warnings, Text(record.verdict, style="bold")]
