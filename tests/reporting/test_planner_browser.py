"""A plan's page in a real browser: what it shows of moved settings is what the library plans."""

import dataclasses
import functools
import html
import json
import re

import numpy as np
import pytest

from paracosm.core.records import Weights
from paracosm.loop.plans import plan, plan_labels, plan_mixture
from paracosm.planning import fidelity
from paracosm.planning import plan as planning
from paracosm.planning.budget import Offer
from paracosm.planning.evaluation import EpisodeOffer
from paracosm.reporting import decision_tables, decision_words, render, words
from paracosm.reporting.planner import planner
from tests.planning.test_plan import CURVES
from tests.reporting.browsing import opened

pytestmark = pytest.mark.full

SETTINGS = {"plain": 35, "rich": 15, "labels": 10, "mixture": 50}
MOVE = """<script>(async () => {
  const section = document.getElementById("planner"), answers = [];
  const tables = () => Object.fromEntries([...section.querySelectorAll("tbody")].map(body =>
    [body.id.replace("planner-", ""), [...body.rows].map(row =>
      [...row.querySelectorAll("data")].map(number => number.value))]));
  const texts = () => Object.fromEntries([...section.querySelectorAll("tbody")].map(body =>
    [body.id.replace("planner-", ""), [...body.rows].map(row =>
      [...row.cells].map(cell => cell.textContent))]));
  const sentences = [...section.querySelectorAll(".wrong")];
  const wrong = () => sentences.map(sentence => sentence.textContent).filter(Boolean);
  for (const setting of JSON.parse(document.getElementById("asked").textContent)) {
    const reset = document.getElementById("planner-reset");
    reset.click();
    const inputs = Object.entries(setting).map(([name, value]) => {
      const input = document.getElementById("planner-" + name);
      input.value = value;
      return input;
    });
    (inputs[0] ?? section.querySelector("input")).dispatchEvent(new Event("input"));
    while (section.getAttribute("aria-busy") === "true")
      await new Promise(go => setTimeout(go, 20));
    const stale = !section.querySelector(".stale").hidden;
    const moved = [...document.querySelectorAll(".if-moved")].map(note => !note.hidden);
    answers.push({tables: tables(), texts: texts(), wrong: wrong(), stale, moved});
  }
  const answer = document.createElement("pre");
  answer.id = "answers";
  answer.textContent = JSON.stringify(answers);
  document.body.append(answer);
})()</script>"""


def moved(record, settings, folder):
    """What the page shows at each of the settings, tables of numbers by name."""
    script = f'<script type="application/json" id="asked">{json.dumps(settings)}</script>'
    page = folder / "page.html"
    page.write_text(render(record).replace("</body>", f"{script}{MOVE}</body>"), encoding="utf-8")
    dom, console = opened(page, milliseconds=600_000)
    assert console == []
    answers = re.search(r'<pre id="answers">(.*?)</pre>', dom, flags=re.S)
    assert answers, "the page did not answer"
    return json.loads(html.unescape(answers[1]))


def drawn(record, number, *, seed=0):
    """Random settings around a page's own: each number doubled or halved up to twice."""
    rng, moves = np.random.default_rng(seed), []
    for _ in range(number):
        setting = {}
        for field in planner(record).fields:
            if field.value is None or rng.random() < 0.3:
                continue
            value = field.value * 2 ** rng.uniform(-2, 2)
            if field.most is not None:
                value = min(value, field.most * 0.99)
            setting[field.name] = float(round(value) if field.whole else value)
        moves.append(setting)
    return moves


def assert_equal(table, rows):
    """Numbers of a table as shown, against the library's."""
    assert len(table) == len(rows)
    for shown, row in zip(table, rows, strict=True):
        assert [float(value.replace("Infinity", "inf")) for value in shown] == pytest.approx(
            list(row), rel=1e-6, abs=1e-9
        )


SURE = (Weights(3.2, 6.0, "scaled", 0.99, 200, "as given"),)
UNSURE = (
    Weights(3.2, 6.0, "scaled", 0.99, 200, "realised", {"dynamics": 0.7, "reward": 2.0}),
    Weights(30.0, 7.0, "scaled", 0.99, 200, "global constants"),
)
PLAIN = {"weights": SURE, "budget": 40_000.0, "cost_dynamics": 1.0, "cost_reward": 10.0}
RICH = {
    **PLAIN,
    "weights": UNSURE,
    "cost_joint": 10.2,
    "sources": (Offer("crowd", 4.0, labels=0.5),),
    "lots": (30, 7),
    "episodes": EpisodeOffer(150.0, 2.0),
}


def replanned(arguments, setting):
    """The library's plan at a page's setting."""
    options = dict(arguments)
    value = setting.get
    sources = options.pop("sources", ())
    first, *rest = options.pop("weights")
    weights = dataclasses.replace(
        first,
        dynamics=value("weights.0", first.dynamics),
        reward=value("weights.1", first.reward),
    )
    options["cost_dynamics"] = value("offers.0.cost", options["cost_dynamics"])
    options["cost_reward"] = value("offers.1.cost", options["cost_reward"])
    if "cost_joint" in options:
        options["cost_joint"] = value("offers.2.cost", options["cost_joint"])
    if "episodes" in options:
        price, deviation = options["episodes"]
        options["episodes"] = EpisodeOffer(
            value("episode.cost", price), value("episode.deviation", deviation)
        )
    owned = {"dynamics": int(value("owned.0", 8000)), "reward": int(value("owned.1", 8000))}
    sources = [
        offer._replace(
            cost=value("offers.3.cost", offer.cost), labels=value("offers.3.yields.1", offer.labels)
        )
        for offer in sources
    ]
    options["budget"] = value("budget", options["budget"])
    return plan(CURVES, (weights, *rest), owned=owned, sources=sources, **options)


def tables_of(record):
    """The numbers of a plan, as its page's tables hold them."""
    offers, best, after = record.question.offers, record.best, record.best.error
    buy = [(best.units[sold.name], best.units[sold.name] * sold.cost) for sold in offers]
    tables = {}
    if record.evaluation:
        episodes = record.evaluation.best
        buy.append((episodes.episodes, record.evaluation.spend))
        widths = (episodes.half_width, episodes.error, episodes.total)
        tables["evaluation"] = [(episodes.episodes, *widths)]
    ends = [record.predicted_error["before"], after]
    ways = [best, *record.alternatives]
    return {
        "buy": buy,
        "errors": [(error.mean, error.low, error.high) for error in ends],
        "facts": [
            (record.ratio, *record.interval),
            (best.regret.mean,),
            (record.expected_regret,),
        ],
        "splits": [(w.dynamics, w.reward, w.error.mean, w.regret.mean) for w in ways],
        "budgets": [
            (w.spend, w.dynamics, w.reward, w.error.mean, w.error.low, w.error.high)
            for w in record.frontier
        ],
        **tables,
    }


def texts_of(record):
    """What the static page says, as the tables beside the fields hold it."""
    ends = [words.number(end) for end in record.interval]
    rows = decision_tables.split_rows(record)
    return {
        "buy": decision_tables.purchase_rows(record),
        "errors": decision_tables.error_rows(record),
        "splits": [(f"{row.letter or '◆'} {row.cells[0]}", *row.cells[1:]) for row in rows],
        "facts": [
            (
                "transitions for each label, then",
                words.number(record.ratio),
                f"[{', '.join(ends)}]",
            ),
            ("expected regret, on average", decision_words.share(record.best.regret.mean), ""),
            ("in the worst quarter", decision_words.share(record.expected_regret), ""),
        ],
        **(
            {"evaluation": decision_tables.evaluation_rows(record)[:1]} if record.evaluation else {}
        ),
    }


@pytest.fixture
def quick(monkeypatch):
    """Plans without what the page does not show or what no setting moves."""
    monkeypatch.setattr(planning, "next_pilot", lambda *about: None)
    monkeypatch.setattr(planning, "posterior", functools.cache(planning.posterior))


def assert_shown(record, again, settings, folder, *, texts):
    """The page of a plan shows, at each setting, the tables of the plan that `again` makes of it;
    at its own settings, that of `texts` as the rest of the page has them.
    """
    answers = moved(record, settings, folder)
    for name, rows in texts.items():
        assert answers[0]["texts"][name] == [list(row) for row in rows], name
    for setting, answer in zip(settings, answers, strict=True):
        assert answer["wrong"] == []
        assert answer["stale"] is False
        assert set(answer["moved"]) == {bool(setting)}
        expected = again(setting)
        assert set(answer["tables"]) == set(expected)
        for name, rows in expected.items():
            assert_equal(answer["tables"][name], rows)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("name", "arguments"), [("plain", PLAIN), ("rich", RICH)])
def test_the_page_of_a_plan_shows_what_the_library_plans(name, arguments, tmp_path):
    record = replanned(arguments, {})
    settings = [{}, *drawn(record, SETTINGS[name])]
    if name == "plain":
        settings += [{"owned.1": 0}, {"weights.0": 0}, {"offers.0.cost": 0.1, "budget": 0.3}]
    else:  # three episodes and a lot of 30 cost all of the budget, in decimals
        settings.append({"offers.0.cost": 0.01, "episode.cost": 0.1, "budget": 0.6})
    again = lambda setting: tables_of(replanned(arguments, setting))  # noqa: E731
    assert_shown(record, again, settings, tmp_path, texts=texts_of(record))


LAWS = {
    "power": (fidelity.Power(2.0, 0.7), {}),
    "a steep power": (fidelity.Power(20.0, 2.1), {"least_cost": 0.5, "most_cost": 40.0}),
    "bounded": (fidelity.Bounded(9.0, 5.0), {"least_cost": 0.25}),
    "floor": (fidelity.Floor(0.4, 3.0), {}),
    "table": (fidelity.FidelityTable((0.5, 1.0, 4.0), (8.0, 5.0, 0.5)), {}),
}
GRADIENT = {
    "budget": 5000.0,
    "cost_rollout": 1.0,
    "gradient_variance": 40.0,
    "noise_coefficient": 6.0,
}


def relabelled(law, arguments, setting):
    """The library's label plan at a page's setting."""
    numbers = [setting.get(f"numbers.{k}") for k in range(3)]
    variances = [setting.get(f"variances.{k}") for k in range(3)]
    now = [n or old for n, old in zip(numbers, dataclasses.astuple(law), strict=False)]
    if isinstance(law, fidelity.FidelityTable):
        costs = (n or old for n, old in zip(numbers, law.costs, strict=True))
        now = [
            tuple(costs),
            tuple(v or old for v, old in zip(variances, law.variances, strict=True)),
        ]
    options = {name: setting.get(name, value) for name, value in {**GRADIENT, **arguments}.items()}
    return plan_labels(type(law)(*now), **options)


def choices_of(record):
    """The numbers of a label plan, as its page's table holds them."""
    plan = (record.cost, record.rollouts, record.repeats, record.variance)
    ways = [plan, *((c.cost, c.rollouts, c.repeats, c.variance) for c in record.alternatives)]
    return {"choices": [(*way, way[-1] / record.variance - 1) for way in ways]}


@pytest.mark.parametrize("name", LAWS)
def test_the_page_of_labels_shows_what_the_library_plans(name, tmp_path):
    law, arguments = LAWS[name]
    record = relabelled(law, arguments, {})
    settings = [{}, *drawn(record, SETTINGS["labels"])]
    if name == "table":  # costs stay in order
        settings = [{k: v for k, v in s.items() if "numbers" not in k} for s in settings]
        settings.append({"numbers.1": 2.0})
    again = lambda setting: choices_of(relabelled(law, arguments, setting))  # noqa: E731
    assert_shown(record, again, settings, tmp_path, texts={})


PRICES = {
    "budget": 5000.0,
    "cost_rollout": 1.0,
    "cheap_cost": 1.0,
    "gold_cost": 20.0,
    "cheap_variance": 50.0,
    "gold_variance": 40.0,
    "correlation": 0.8,
    "bias": 0.3,
}


def ways_of(record):
    """The numbers of a mixture plan, as its page's tables hold them."""
    least = min(choice.error for choice in record.choices)
    return {
        "ways": [
            (c.rollouts, c.gold, c.variance, c.squared_bias, c.error, c.error / least - 1)
            for c in record.choices
        ],
        "facts": [(record.coefficient,), (record.least_correlation,)],
        "changes": [(budget,) for budget in record.changes.values()],
    }


def test_the_page_of_cheap_and_gold_labels_shows_what_the_library_plans(tmp_path):
    record = plan_mixture(**PRICES)
    settings = [{}, *drawn(record, SETTINGS["mixture"])]
    again = lambda setting: ways_of(plan_mixture(**{**PRICES, **setting}))  # noqa: E731
    texts = {"changes": decision_words.changes(record)}
    assert_shown(record, again, settings, tmp_path, texts=texts)


MIXTURE = plan_mixture(**PRICES)
LABELS = plan_labels(fidelity.Bounded(9.0, 5.0), **GRADIENT)
WRONG = [
    (MIXTURE, {"budget": ""}, "The budget is empty; a number is needed."),
    (MIXTURE, {"budget": 1}, "The budget of 1 buys not one rollout: a labelled one costs 2."),
    (MIXTURE, {"gold_cost": -20}, "The price of gold labels is -20; it must be above 0."),
    (MIXTURE, {"correlation": 1.5}, "The correlation of the two is 1.5; it must be at most 1."),
    (LABELS, {"cost_rollout": -1}, "it must be at least 0."),
    (LABELS, {"budget": 0.5}, "buys not one rollout"),
    (LABELS, {"least_cost": 9}, "it must be at least 9."),
    (LABELS, {"least_cost": 1e-9}, "name a higher least cost"),
]


@pytest.mark.parametrize("record", [MIXTURE, LABELS], ids=["mixture", "labels"])
def test_bad_settings_get_a_sentence_beside_the_field(record, tmp_path):
    cases = [(setting, part) for about, setting, part in WRONG if about is record]
    answers = moved(record, [{}, *(setting for setting, _ in cases)], tmp_path)
    for answer, (setting, part) in zip(answers[1:], cases, strict=True):
        assert len(answer["wrong"]) == 1, setting
        assert part in answer["wrong"][0]
        assert answer["stale"] is True
        assert answer["tables"] == answers[0]["tables"]


@pytest.mark.usefixtures("quick")
def test_bad_settings_of_a_plan_get_a_sentence_beside_the_field(tmp_path):
    cases = {
        "The budget is 0.5; the cheapest lot costs 1.": {"budget": 0.5},
        "Both weights are 0; one must be above 0.": {"weights.0": 0, "weights.1": 0},
        "a whole number is needed.": {"owned.0": 3.5},
        "it must be at least 0.": {"owned.1": -3},
        "of one of them nothing is owned.": {"owned.1": 0, "budget": 5},
    }
    answers = moved(replanned(PLAIN, {}), [{}, *cases.values()], tmp_path)
    for answer, sentence in zip(answers[1:], cases, strict=True):
        assert len(answer["wrong"]) == 1
        assert answer["wrong"][0].endswith(sentence)
        assert answer["stale"] is True
