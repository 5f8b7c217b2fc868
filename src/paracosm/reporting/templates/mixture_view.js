// What a plan for cheap and gold labels shows of its settings.

function mixtureRefusal(prices) {
  const lowest = min(cheapRollout(prices), goldRollout(prices)), {budget} = prices;
  if (budget * (1 + ROUNDING) < lowest)
    return {field: "budget", sentence: `The budget of ${amount(budget)} buys not one rollout: a labelled one costs ${amount(lowest)}.`};
  if (budget > MOST_ROLLOUTS * lowest)
    return {field: "budget", sentence: `The budget of ${amount(budget)} buys over ${count(MOST_ROLLOUTS)} rollouts; that is no plan.`};
  return null;
}

function* showMixture(prices) {
  const plan = plannedMixture(prices), {choices, winner} = plan, names = page.texts.ways;
  fill("verdict", `Buy ${names[winner.name]}: squared error of the gradient ${number(winner.error)}.`);
  fillRows("ways", choices.map(choice => [
    names[choice.name],
    shown(choice.rollouts, count(choice.rollouts)), shown(choice.gold, count(choice.gold)),
    ...[choice.variance, choice.squaredBias, choice.error].map(value => shown(value, number(value))),
    shown(choice.error / winner.error - 1, share(choice.error / winner.error - 1)),
  ]), row => choices[row] === winner);
  fillRows("facts", [
    ["weight of cheap labels in the mixture", shown(plan.coefficient, number(plan.coefficient))],
    ["correlation from which the mixture beats gold alone", shown(plan.leastCorrelation, number(plan.leastCorrelation))],
  ]);
  fillRows("changes", plan.changes.map(({name, budget}) => [names[name], shown(budget, amount(budget))]));
  showBudgets(prices, winner);
  yield;
}

const DASHES = {cheap: "none", gold: "7 4", mixture: "2 3"};

// Squared errors by budget, from a thirtieth of this one to thirty times it.
function showBudgets(prices, winner) {
  const {budget} = prices, budgets = spaced(budget / 30, budget * 30, 61);
  const errors = budgets.map(money => errorsAt(prices, money));
  const all = errors.flat().filter(Number.isFinite);
  const lines = WAYS.map((way, k) => ({
    points: budgets.map((money, place) => [money, errors[place][k]]).filter(([, error]) => Number.isFinite(error)),
    dash: DASHES[way],
  }));
  chart({
    id: "lines", label: "Squared error of each way to label by budget",
    x: {low: budgets[0], high: budgets.at(-1), log: true, text: short, name: "budget"},
    y: {low: min(...all), high: max(...all), log: true, text: short},
    series: [
      ...lines.filter(({points}) => points.length),
      {marks: [{point: [budget, winner.error]}], own: true},
    ],
  });
}

const views = {mixture: {refusal: mixtureRefusal, show: showMixture}};
