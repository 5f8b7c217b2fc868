"""What a page needs so that its plan can be moved: the settings as fields, and the numbers that the
laws in the page's script work on.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import numpy as np
from markupsafe import Markup

from paracosm.core.records.decisions import LabelPlan, MixturePlan, Plan
from paracosm.core.records.questions import (
    LabelQuestion,
    LawSample,
    MixtureQuestion,
    SplitQuestion,
)
from paracosm.core.records.reasons import LabelRule, Rule
from paracosm.reporting import decision_words

_PARTS = ("dynamics", "reward")
_MOST_COUNT = 1e15  # counts beyond it are not exact in floating point
_MOST_BIAS = 1e150  # its square is still a number
_MOST_ROWS = 12  # of a measured table that are worth a field each


@dataclasses.dataclass(frozen=True)
class SettingField:
    """A number that a reader may move.

    `name` is the path to it in the settings. It must be at least `least` (above 0 if `positive`),
    at most `most`, and whole if `whole`; `optional` fields may be empty.
    """

    name: str
    label: str
    group: str
    value: float | None
    least: float | None = None
    most: float | None = None
    positive: bool = False
    whole: bool = False
    optional: bool = False

    @property
    def text(self) -> str:
        """The number as an input holds it, every digit of it."""
        return "" if self.value is None else repr(float(self.value)).removesuffix(".0")

    @property
    def slider(self) -> str:
        """How a slider moves the number: from end to end, by factors of two, or not at all."""
        if self.least == -1:
            return "linear"
        return "doubling" if self.value else ""


@dataclasses.dataclass(frozen=True)
class MovablePlan:
    """The fields, and a JSON document for the script; `kind` names the law that answers."""

    kind: str
    fields: tuple[SettingField, ...]
    settings: dict[str, Any]
    texts: dict[str, Any]
    laws: list[dict[str, str]]

    @property
    def groups(self) -> dict[str, list[SettingField]]:
        """The fields by group, in order."""
        groups: dict[str, list[SettingField]] = {}
        for field in self.fields:
            groups.setdefault(field.group, []).append(field)
        return groups

    @property
    def document(self) -> Markup:
        """Strict JSON that may stand in a script element: nothing in it ends one."""
        tree = {
            "kind": self.kind,
            "settings": self.settings,
            "texts": self.texts,
            "laws": self.laws,
            "fields": [dataclasses.asdict(field) for field in self.fields],
        }
        return Markup(json.dumps(tree, allow_nan=False).replace("<", "\\u003c"))


def planner(plan: Plan | LabelPlan | MixturePlan) -> MovablePlan | None:
    """The settings that a plan's page can move; `None` where the plan holds no question."""
    if plan.question is None:
        return None
    if isinstance(plan, Plan):
        return _split(plan, plan.question)
    if isinstance(plan, LabelPlan):
        return _labels(plan.question)
    return _mixture(plan.question)


def _split(plan: Plan, question: SplitQuestion) -> MovablePlan:
    weights, *routes = plan.weights
    settings = {
        "budget": question.budget,
        "offers": [
            {
                "name": sold.name,
                "cost": sold.cost,
                "yields": [sold.transitions, sold.labels],
                "lot": sold.lot,
            }
            for sold in question.offers
        ],
        "owned": [plan.owned[part] for part in _PARTS],
        "weights": [weights.dynamics, weights.reward],
        "unsure": [weights.unsure.get(part, 0.0) for part in _PARTS],
        "routes": [
            {
                "name": f"weights from {route.origin}",
                "weights": [route.dynamics, route.reward],
                "unsure": [route.unsure.get(part, 0.0) for part in _PARTS],
            }
            for route in routes
        ],
        "episode": plan.evaluation
        and {"cost": plan.evaluation.price, "deviation": plan.evaluation.deviation},
    }
    texts = {
        "bought": [decision_words.unit_name(sold.name) for sold in question.offers],
        "rules": {
            "spending": Rule.EQUAL_SPENDING,
            "counts": Rule.EQUAL_COUNTS,
            "transitions": Rule.ALL_TRANSITIONS,
            "labels": Rule.ALL_LABELS,
            "joint": Rule.ALL_JOINT,
        },
    }
    laws = [_pack(question.laws[part]) for part in _PARTS]
    return MovablePlan(
        "split", (*_money(plan, question), *_rest(plan, question)), settings, texts, laws
    )


def _money(plan: Plan, question: SplitQuestion) -> list[SettingField]:
    """Fields of the budget and the prices."""
    name = "budget, without what is owned" if plan.spent else "budget"
    fields = [SettingField("budget", name, "Money", question.budget, positive=True)]
    for k, sold in enumerate(question.offers):
        label = f"price of a {decision_words.unit_names(sold.name)[0]}"
        fields.append(SettingField(f"offers.{k}.cost", label, "Money", sold.cost, positive=True))
    if plan.evaluation is not None:
        group, price = "Evaluation episodes", plan.evaluation.price
        spread = plan.evaluation.deviation
        fields += [
            SettingField("episode.cost", "price of an episode", group, price, positive=True),
            SettingField(
                "episode.deviation",
                "standard deviation of an episode’s return",
                group,
                spread,
                positive=True,
            ),
        ]
    return fields


def _rest(plan: Plan, question: SplitQuestion) -> list[SettingField]:
    """Fields of what is owned, of the weights, and of what other labels are worth."""
    owned = [
        SettingField(
            f"owned.{k}",
            f"{decision_words.unit_name(part)} owned",
            "Owned already",
            plan.owned[part],
            least=0,
            most=_MOST_COUNT,
            whole=True,
        )
        for k, part in enumerate(_PARTS)
    ]
    weights = [
        SettingField(
            f"weights.{k}",
            f"weight of the {part} error",
            "What an error costs in return",
            getattr(plan.weights[0], part),
            least=0,
        )
        for k, part in enumerate(_PARTS)
    ]
    worth = [
        SettingField(
            f"offers.{k}.yields.1",
            f"worth of a label from {sold.name}",
            "In plain labels",
            sold.labels,
            positive=True,
        )
        for k, sold in enumerate(question.offers)
        if sold.name not in decision_words.UNITS
    ]
    return [*owned, *weights, *worth]


def _pack(law: LawSample) -> dict[str, str]:
    """The columns of a sample as 64-bit floats, little-endian, in base 64: every digit, in half the
    letters.
    """
    return {
        name: base64.b64encode(np.asarray(column, "<f8").tobytes()).decode()
        for name, column in vars(law).items()
    }


_NUMBERS = {
    "power": (
        ("A, the variance of a label of cost 1", {"positive": True}),
        ("p, how fast it falls with the cost", {"positive": True, "most": 10}),
    ),
    "bounded": (
        ("V, the variance of a label that costs nothing", {"positive": True}),
        ("cost of a label without noise", {"positive": True}),
    ),
    "floor": (
        ("V, the variance that no money removes", {"least": 0}),
        ("A, what falls of the variance at cost 1", {"positive": True}),
    ),
}


def _labels(question: LabelQuestion) -> MovablePlan:
    names = {
        "cheapest": LabelRule.CHEAPEST,
        "half": LabelRule.HALF,
        "twice": LabelRule.TWICE,
        "middle": LabelRule.MIDDLE,
        "dearest": LabelRule.DEAREST,
        "single": LabelRule.BEST_WITHOUT_REPEATS,
    }
    money, gradient, limits = "Money", "The gradient of one rollout", "Labels for sale"
    fields = (
        SettingField("budget", "budget", money, question.budget, positive=True),
        SettingField(
            "cost_rollout", "price of a rollout, unlabelled", money, question.cost_rollout, least=0
        ),
        *_fidelity(question),
        SettingField(
            "gradient_variance",
            "variance without label noise",
            gradient,
            question.gradient_variance,
            least=0,
        ),
        SettingField(
            "noise_coefficient",
            "what label noise of variance 1 adds",
            gradient,
            question.noise_coefficient,
            least=0,
        ),
        *(
            SettingField(f"{end}_cost", label, limits, limit, positive=True, optional=True)
            for end, label, limit in (
                ("least", "least cost (empty: none named)", question.least_cost),
                ("most", "highest cost (empty: none named)", question.most_cost),
            )
        ),
    )
    return MovablePlan("labels", fields, question.to_dict(), {"rules": names}, [])


def _fidelity(question: LabelQuestion) -> list[SettingField]:
    """Fields of the law of the labels' noise, or of the rows of a table."""
    group = "How noisy a label is"
    if question.form != "table":
        return [
            SettingField(f"numbers.{k}", label, group, value, **limits)
            for k, (value, (label, limits)) in enumerate(
                zip(question.numbers, _NUMBERS[question.form], strict=True)
            )
        ]
    rows = list(enumerate(zip(question.numbers, question.variances, strict=True)))
    if len(rows) > _MOST_ROWS:
        return []
    return [
        field
        for k, (cost, variance) in rows
        for field in (
            SettingField(f"numbers.{k}", f"cost of label {k + 1}", group, cost, positive=True),
            SettingField(f"variances.{k}", f"variance of label {k + 1}", group, variance, least=0),
        )
    ]


def _mixture(question: MixtureQuestion) -> MovablePlan:
    money, noise = "Money", "What labels do to the gradient"
    fields = (
        SettingField("budget", "budget", money, question.budget, positive=True),
        SettingField(
            "cost_rollout", "price of a rollout, unlabelled", money, question.cost_rollout, least=0
        ),
        SettingField(
            "cheap_cost", "price of cheap labels", money, question.cheap_cost, positive=True
        ),
        SettingField("gold_cost", "price of gold labels", money, question.gold_cost, positive=True),
        SettingField(
            "cheap_variance",
            "variance with cheap labels",
            noise,
            question.cheap_variance,
            positive=True,
        ),
        SettingField(
            "gold_variance",
            "variance with gold labels",
            noise,
            question.gold_variance,
            positive=True,
        ),
        SettingField(
            "correlation", "correlation of the two", noise, question.correlation, least=-1, most=1
        ),
        SettingField(
            "bias", "bias of cheap labels", noise, question.bias, least=0, most=_MOST_BIAS
        ),
    )
    texts = {"ways": decision_words.LABELS}
    return MovablePlan("mixture", fields, question.to_dict(), texts, [])
