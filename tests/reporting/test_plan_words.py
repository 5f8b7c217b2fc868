"""Sentences of plans and runs, word for word."""

from __future__ import annotations

import dataclasses

import pytest

from paracosm.core.records import Estimate
from paracosm.core.records.reasons import (
    Caveat,
    CaveatKind,
    CheaperLabels,
    LabelLoss,
    LabelRule,
    LabelVerdict,
    MixtureVerdict,
    PlanVerdict,
    Regime,
    RouteLoss,
    Rule,
    RuleLoss,
    Stakes,
    WayLoss,
)
from paracosm.reporting import caveat_words, decision_words, label_words, plan_words
from paracosm.reporting.headline import headline
from tests.reporting import decision_records as records

CAVEATS = {
    "The reward errors were mean squares; their square roots are used, which halves the exponent.":
        Caveat(CaveatKind.MEAN_SQUARES, "reward"),
    "With the plan dynamics has 80,001 samples, 10 times the largest size measured; past 10 times a"
    " forecast leans on the law more than on data.":
        Caveat(
            CaveatKind.FAR_FORECAST, "dynamics", {"reach": 80_001, "largest": 8000.0, "far": 10.0}
        ),
    "The reward exponent lies at 0.03, an edge of the grid, with 27% probability.":
        Caveat(CaveatKind.EDGE_OF_GRID, "reward", {"edge": 0.03, "share": 0.271}),
    "The reward error seems to fall steeper and steeper, as no power law does; forecasts allow for"
    " either, and larger sizes would settle it.":
        Caveat(CaveatKind.STEEPENING, "reward"),
    "The reward error seems to have stopped falling, or to rise, at the largest sizes; forecasts"
    " allow for little gain, and more seeds there would settle it.":
        Caveat(CaveatKind.NO_LONGER_FALLING, "reward"),
    "The reward curve has one seed at each size, so noise that seeds share passes for their own.":
        Caveat(CaveatKind.ONE_SEED, "reward"),
    "The reward law explains 44% of how its measured errors differ, so that what it predicts is"
    " unsure; larger sizes or more seeds would settle it.":
        Caveat(CaveatKind.POOR_FIT, "reward", {"share": 0.441}),
    "The plan buys no reward labels: money is worth more on the other part down to the last unit.":
        Caveat(CaveatKind.NOTHING_BOUGHT, "reward"),
    "The plan buys no reward labels: whole lots of both parts are more than the budget, or bring"
    " less than what is bought.":
        Caveat(CaveatKind.NO_ROOM, "reward"),
    "The plan buys no reward labels: the fewest for sale, 500, cost 1,000, and the budget is 900.":
        Caveat(CaveatKind.NOTHING_AFFORDED, "reward", {"price": 1000, "units": 500, "budget": 900}),
    "Whole lots leave 500 of the 1,500 unspent.":
        Caveat(CaveatKind.MONEY_LEFT, "", {"left": 500.0, "budget": 1500.0}),
    "The purchase lowers the predicted error by 1.9% only: by these curves so much money buys"
    " little.":
        Caveat(CaveatKind.BUYS_LITTLE, "", {"share": 0.0186}),
    "The weight of the dynamics error, 3.2 with a standard error of 2, could be zero: more real"
    " episodes would settle it.":
        Caveat(CaveatKind.UNSURE_WEIGHT, "dynamics", {"weight": 3.2, "error": 2.0}),
    "One weight is zero: that part's error counts for nothing in this plan.":
        Caveat(CaveatKind.ZERO_WEIGHT),
    "In the fidelity table a label of 5 is noisier than one of 1 (variance 1.5 against 1); the"
    " table is used as it is.":
        Caveat(
            CaveatKind.NOISIER_DEARER,
            "",
            {"dearer": 5.0, "cheaper": 1.0, "dearer_variance": 1.5, "cheaper_variance": 1.0},
        ),
    "The gradient was taken not to vary without label noise; rollouts do differ, and with their"
    " variance the plan could buy more rollouts and cheaper labels.":
        Caveat(CaveatKind.NO_GRADIENT_VARIANCE),
    "A rollout was taken to cost nothing before it is labelled; with its price (--cost-rollout)"
    " fewer rollouts, and labels at least as dear, are best.":
        Caveat(CaveatKind.FREE_ROLLOUTS),
    "Several labels on one rollout were not considered: they need the cost of the cheapest label"
    " that can be bought, since ever more of ever cheaper ones would look best.":
        Caveat(CaveatKind.NO_REPEATS),
    "Averaging 7 labels helps only if their errors are independent; shared errors stay.":
        Caveat(CaveatKind.SHARED_ERRORS, "", {"repeats": 7.0}),
    "Variance and coefficient of the gradient have no interval; measure them on more rollouts.":
        Caveat(CaveatKind.NO_INTERVAL),
    "Within the 95% intervals of the gradient's measured variance and noise coefficient the best"
    " spending on the labels of a rollout lies between 0.2 and 1,200; if the truth is at their"
    " edge, another plan would have had 20% less variance.":
        Caveat(CaveatKind.OPEN_CHOICE, "", {"low": 0.2, "high": 1200.0, "less": 0.2}),
    "Cheap and gold gradients do not correlate: cheap labels can correct nothing, there is no"
    " mixture.":
        Caveat(CaveatKind.NO_CORRELATION),
    "The mixture is left out: at a correlation of 0.8 its coefficient cannot be told from noise"
    " with fewer than 5 gold labels, which this budget does not buy.":
        Caveat(CaveatKind.NO_MIXTURE, "", {"correlation": 0.8, "fewest": 5.0}),
    "The cheap labels were said to have no bias at all; cheap labels alone are only as good as"
    " that.":
        Caveat(CaveatKind.NO_BIAS),
    "The learned dynamics errs 60% as much as a constant would: 200 rows may be too few.":
        Caveat(CaveatKind.LITTLE_LEARNED, "dynamics", {"share": 0.6, "rows": 200.0}),
    "12% of the audited imagined steps lie at the edge of the data.":
        Caveat(CaveatKind.EDGE_OF_DATA, "", {"share": 0.12}),
    "Training in imagination reached its most gradient steps before the imagined return stalled.":
        Caveat(CaveatKind.MOST_STEPS),
    "The audit attributed a random 40 of 4,000 real steps, reweighted.":
        Caveat(CaveatKind.STEPS_SAMPLED, "", {"audited": 40.0, "real": 4000.0}),
    "The reward error is 0.5 on the states that the policy visits and 0.125 on those collected:"
    " the plan goes by the former.":
        Caveat(CaveatKind.STATES_PART, "reward", {"visited": 0.5, "collected": 0.125}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "caveat"), CAVEATS.items())
def test_a_caveat_is_this_sentence(text, caveat):
    assert caveat_words.sentence(caveat) == text
    assert Caveat.from_json(caveat.to_json()) == caveat


def test_every_kind_has_its_sentence():
    assert {caveat.kind for caveat in CAVEATS.values()} == set(CaveatKind)


def loss(rule: Rule, mean: float, low: float = 0.001) -> RuleLoss:
    return RuleLoss(rule, Estimate(mean, low, mean + 0.03, 2000, "draws"), mean >= 0.01)


EQUAL, COUNTS = loss(Rule.EQUAL_SPENDING, 0.0032), loss(Rule.EQUAL_COUNTS, 0.021)


@pytest.mark.parametrize(
    ("reasons", "end"),
    [
        (
            PlanVerdict(Stakes.HARDLY_MATTERS, (EQUAL, COUNTS), None, (), ()),
            "A simple rule does as well: equal spending, the best rule that favours neither part,"
            " would lose 0.32% (0.10% to 3.32%) against this plan, but equal counts 2.10%.",
        ),
        (
            PlanVerdict(Stakes.HARDLY_MATTERS, (EQUAL,), None, (), ()),
            "The split hardly matters: equal spending, the best rule that favours neither part,"
            " would lose 0.32% (0.10% to 3.32%) against this plan.",
        ),
        (
            PlanVerdict(
                Stakes.HARDLY_MATTERS, (loss(Rule.EQUAL_SPENDING, -0.0249, -0.8),), None, (), ()
            ),
            "The split hardly matters: equal spending, the best rule that favours neither part,"
            " would leave 2.49% less error than this plan on average over what the curves leave"
            " open (-0.51% to 80.00%).",
        ),
        (
            PlanVerdict(
                Stakes.HARDLY_MATTERS,
                (loss(Rule.EQUAL_COUNTS, -1e-5, -0.01), loss(Rule.EQUAL_SPENDING, 0.0376)),
                None,
                (),
                (),
            ),
            "A simple rule does as well: equal counts, the best rule that favours neither part,"
            " would lose 0.00% (-1.00% to 3.00%) against this plan, but equal spending 3.76%.",
        ),
        (
            PlanVerdict(
                Stakes.MATTERS,
                (loss(Rule.EQUAL_COUNTS, 0.02, -0.01),),
                loss(Rule.ALL_TRANSITIONS, 0.0),
                (),
                (),
            ),
            "The split may matter: equal counts, the best rule that favours neither part, would"
            " lose 2.00% (-1.00% to 5.00%) against this plan, though the curves do not exclude that"
            " it is as good. If it does, it is the part that matters: all on transitions would lose"
            " 0.00%.",
        ),
        (
            PlanVerdict(Stakes.UNRIVALLED, (), None, (), ()),
            "No simple rule buys whole lots of both parts: there is none to compare with.",
        ),
    ],
)
def test_a_verdict_says_what_is_bought_what_it_changes_and_what_hangs_on_it(reasons, end):
    plan = plan_words.with_sentences(records.plan_with_sources(reasons=reasons))
    assert plan.verdict.startswith(
        "Buy 1,000 labelled transitions and 3,166 labels from crowd for 19,998. The predicted"
        " error in return is then 0.31 (0.248 to 0.372); it is "
    )
    assert plan.verdict.endswith(f" now. {end}")
    assert type(plan).from_json(plan.to_json()) == plan


def test_a_plan_for_one_part_alone_is_not_compared_with_itself():
    reasons = PlanVerdict(Stakes.MATTERS, (COUNTS,), loss(Rule.ALL_TRANSITIONS, 0.0), (), ())
    alone = dataclasses.replace(records.plan(reasons=reasons), reward=0)
    assert plan_words.with_sentences(alone).verdict.endswith(
        "It is the part that matters: this plan spends all on transitions."
    )


def test_routes_to_the_weights_are_compared():
    route = RouteLoss("the audit's terms", 2.5, 0.011, 0.2)
    reasons = PlanVerdict(Stakes.UNRIVALLED, (), None, (route,), ())
    assert plan_words.with_sentences(records.plan(reasons=reasons)).disagreement == (
        "Weights from the audit's terms would own 2.5 transitions a label instead of 4.69: if they"
        " are wrong that loses 1.10%, and if they are right this plan loses 20.00%."
    )
    alike = dataclasses.replace(route, if_wrong=0.0, if_right=1e-6)
    same = records.plan(reasons=dataclasses.replace(reasons, routes=(alike,)))
    assert plan_words.with_sentences(same).disagreement == (
        "Weights from the audit's terms lead to the same split, or to one as good."
    )
    single = records.plan(reasons=reasons, weights=records.plan().weights[:1])
    assert plan_words.with_sentences(single).disagreement == (
        "The weights come from one route (realised: along the measured errors); no other was given"
        " to compare them with."
    )


LABELS = LabelVerdict(
    Regime.BALANCE,
    Stakes.MATTERS,
    0.379,
    (LabelLoss(LabelRule.HALF, 0.181, 0.0728), LabelLoss(LabelRule.DEAREST, 20.0, 1.5)),
    CheaperLabels.BETTER,
    2.0,
    0.548,
    (),
)


def test_a_plan_for_labels_says_what_decides_and_what_other_prices_lose():
    plan = label_words.with_sentences(records.label_plan(reasons=LABELS))
    assert plan.regime == (
        "a balance: dearer labels are cleaner, cheaper ones leave money for more rollouts"
    )
    assert plan.verdict == (
        "Buy 3,225 rollouts and label each once, at 0.55 a rollout: the policy gradient then has"
        " variance 0.0181, the least that 5,000 can buy at the costs allowed. Label noise makes up"
        " 37.9% of that. Half the price (labels at 0.181) would give 7.28% more variance. The"
        " dearest (labels at 20) would give 2.5 times the variance. Cheaper labels would be better"
        " still, down to 0.548: 2 is the least cost allowed."
    )
    assert type(plan).from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"cheaper": CheaperLabels.BETTER_WITHOUT_END},
            "Cheaper labels would be better still: 2 is only the least cost considered, and there"
            " is no best price above zero.",
        ),
        (
            {"cheaper": CheaperLabels.FREE_ONES_BEST},
            "Cheaper labels would be better still: 2 is only the least cost considered; free ones"
            " are best.",
        ),
        (
            {"cheaper": CheaperLabels.NO_BETTER, "stakes": Stakes.UNRIVALLED},
            "Nothing can be better: these labels have no noise that counts, and the gradient was"
            " said not to vary otherwise.",
        ),
        (
            {"cheaper": CheaperLabels.NO_BETTER, "stakes": Stakes.HARDLY_MATTERS},
            "The choice hardly matters: no simple rule has 1% more variance.",
        ),
    ],
)
def test_a_plan_for_labels_ends_with_what_hangs_on_it(changes, sentence):
    reasons = dataclasses.replace(LABELS, **changes)
    assert label_words.with_sentences(records.label_plan(reasons=reasons)).verdict.endswith(
        sentence
    )


def test_every_regime_has_its_phrase():
    assert set(label_words.REGIMES) == set(Regime)


@pytest.mark.parametrize(
    ("stakes", "losses", "middle"),
    [
        (
            Stakes.MATTERS,
            (WayLoss("cheap", 0.71, True), WayLoss("gold", 1.62, False)),
            "Cheap labels alone would have 71% more, most of it bias, which no money removes. Gold"
            " labels alone would have 2.62 times that.",
        ),
        (
            Stakes.HARDLY_MATTERS,
            (WayLoss("gold", 0.004, False),),
            "It hardly matters: gold labels alone would be within 1% of that.",
        ),
    ],
)
def test_a_plan_for_cheap_and_gold_labels_says_what_wins_and_where(stakes, losses, middle):
    reasons = MixtureVerdict(stakes, losses, "cheap", ())
    plan = label_words.mixture_with_sentences(records.mixture_plan(reasons=reasons))
    assert plan.verdict == (
        "Buy the mixture, 1,210 rollouts with cheap labels and gold labels on 118 of them: the"
        f" policy gradient then has squared error 0.064. {middle} With a small budget cheap labels"
        " alone would win; from about 940 on the mixture."
    )


@pytest.mark.parametrize(
    ("winner", "changes", "end"),
    [
        ("cheap", {}, "At any other budget cheap labels alone would win, too."),
        (
            "gold",
            {},
            "With large budgets cheap labels alone would win. At this budget whole rollouts"
            " decide.",
        ),
        (
            "cheap",
            {"mixture": 940.0},
            "from about 940 on the mixture. At this budget whole rollouts decide.",
        ),
        ("cheap", {"mixture": 9400.0}, "would win; from about 9,400 on the mixture."),
    ],
)
def test_other_budgets_do_not_contradict_what_whole_rollouts_decide(winner, changes, end):
    reasons = MixtureVerdict(Stakes.HARDLY_MATTERS, (WayLoss("gold", 0.004, False),), "cheap", ())
    plan = records.mixture_plan(reasons=reasons, winner=winner, changes=changes)
    assert label_words.mixture_with_sentences(plan).verdict.endswith(end)


def test_a_page_has_one_name_for_each_way_to_label():
    reasons = MixtureVerdict(Stakes.HARDLY_MATTERS, (WayLoss("gold", 0.004, False),), "cheap", ())
    plan = records.mixture_plan(reasons=reasons, changes={"mixture": 940.0, "gold": 2000.0})
    verdict = label_words.mixture_with_sentences(plan).verdict
    for name, budget in decision_words.changes(plan):
        assert f"from about {budget} on {name}" in verdict


def test_a_record_without_reasons_keeps_its_sentences():
    for plan, in_words in (
        (records.plan(), plan_words.with_sentences),
        (records.label_plan(), label_words.with_sentences),
        (records.mixture_plan(), label_words.mixture_with_sentences),
    ):
        assert in_words(plan) is plan


MIXED = MixtureVerdict(Stakes.HARDLY_MATTERS, (WayLoss("gold", 0.004, False),), "cheap", ())
SPLIT = PlanVerdict(Stakes.UNRIVALLED, (), None, (), ())


@pytest.mark.parametrize(
    ("plan", "first"),
    [
        (
            label_words.with_sentences(records.label_plan(reasons=LABELS)),
            "Buy 3,225 rollouts and label each once, at 0.55 a rollout: the policy gradient then"
            " has variance 0.0181, the least that 5,000 can buy at the costs allowed.",
        ),
        (
            label_words.mixture_with_sentences(records.mixture_plan(reasons=MIXED)),
            "Buy the mixture, 1,210 rollouts with cheap labels and gold labels on 118 of them: the"
            " policy gradient then has squared error 0.064.",
        ),
        (
            plan_words.with_sentences(
                records.plan(
                    best=dataclasses.replace(
                        records.plan().best, units={"dynamics": 1, "Dr. Who": 2}, spend=0.5
                    ),
                    reasons=SPLIT,
                )
            ),
            "Buy 1 transition and 2 labels from Dr. Who for 0.5.",
        ),
        (records.plan(verdict="Buy 3. It is cheap."), "Buy 3. It is cheap."),
    ],
    ids=["labels", "mixture", "transitions and labels", "without reasons"],
)
def test_the_headline_is_the_first_sentence_and_nothing_is_lost(plan, first):
    sentences = headline(plan)
    assert sentences[0] == first
    assert " ".join(filter(None, sentences)) == plan.verdict
