// Cheap labels, gold labels, or cheap ones with a few gold ones that take their bias away: the laws
// of planning/mixture.py.

const ROUNDING = 1e-12, MOST_ROLLOUTS = 1e10, REACH = 1e3, BUDGETS = 4001, FARTHEST = 1e200;
const WAYS = ["cheap", "gold", "mixture"];
const {floor, max, min, sqrt} = Math;

const cheapRollout = ({cost_rollout, cheap_cost}) => cost_rollout + cheap_cost;
const goldRollout = ({cost_rollout, gold_cost}) => cost_rollout + gold_cost;
const whole = number => Math.trunc(number * (1 + ROUNDING));

// The gold labels from which the coefficient, left one out, passes its gate `|ρ| > 1/sqrt(n−3)`.
function fewestGold({correlation}) {
  const square = correlation ** 2;
  return square > 0 ? floor(3 + (1 + ROUNDING) / square) + 1 : Infinity;
}

// Cheap rollouts per gold label at the best, at least 1.
function bestRatio(prices) {
  const square = prices.correlation ** 2, q = cheapRollout(prices) / prices.gold_cost;
  return square < 1 ? sqrt(max(square / (q * (1 - square)), 1)) : Infinity;
}

function mixtureVariance({correlation, gold_variance}, rollouts, gold) {
  const square = correlation ** 2;
  return gold_variance * ((1 - square) / gold + square / rollouts);
}

// The correlation from which the mixture beats gold alone.
function leastCorrelation(prices) {
  const {cost_rollout, cheap_cost, gold_cost} = prices;
  if (gold_cost <= cheap_cost) return 1;
  const root = sqrt(cheapRollout(prices) * goldRollout(prices)) + sqrt(gold_cost * cheap_cost);
  return root / (cost_rollout + cheap_cost + gold_cost);
}

// The best whole numbers of cheap rollouts and of gold labels on them; null if too few can be bought.
function allocated(prices, budget) {
  const cheap = cheapRollout(prices), {gold_cost} = prices, fewest = fewestGold(prices);
  const most = whole(budget / (cheap + gold_cost));
  if (most < fewest) return null;
  const best = min(max(budget / (gold_cost + cheap * bestRatio(prices)), fewest), most);
  const width = 8 * sqrt(cheap / gold_cost * best) + 16;
  let lowest = null;
  for (let gold = max(fewest, floor(best - width)); gold <= min(most, Math.ceil(best + width)); gold++) {
    const rollouts = floor((budget - gold * gold_cost) / cheap * (1 + ROUNDING));
    const variance = mixtureVariance(prices, rollouts, gold);
    if (!lowest || variance < lowest.variance) lowest = {rollouts, gold, variance};
  }
  return lowest;
}

// What the budget buys in each way, in whole rollouts; without the ways for which it does not suffice.
function choicesOf(prices, budget) {
  const cheap = whole(budget / cheapRollout(prices)), gold = whole(budget / goldRollout(prices));
  const mixture = allocated(prices, budget), choices = [];
  const add = (name, rollouts, labelled, variance, bias) => choices.push(
    {name, rollouts, gold: labelled, variance, squaredBias: bias ** 2, error: variance + bias ** 2});
  if (cheap) add("cheap", cheap, 0, prices.cheap_variance / cheap, prices.bias);
  if (gold) add("gold", gold, gold, prices.gold_variance / gold, 0);
  if (mixture) add("mixture", mixture.rollouts, mixture.gold, mixture.variance, 0);
  return choices;
}

// Squared errors of cheap, gold and mixture in real numbers; infinite where money is too short.
function errorsAt(prices, budget) {
  const cheap = budget / cheapRollout(prices), gold = budget / goldRollout(prices);
  const fewest = fewestGold(prices), most = budget / (cheapRollout(prices) + prices.gold_cost);
  const wanted = budget / (prices.gold_cost + cheapRollout(prices) * bestRatio(prices));
  const labels = min(max(wanted, fewest), most);
  const rollouts = (budget - labels * prices.gold_cost) / cheapRollout(prices);
  return [
    cheap >= 1 ? prices.cheap_variance / cheap + prices.bias ** 2 : Infinity,
    gold >= 1 ? prices.gold_variance / gold : Infinity,
    most >= fewest ? mixtureVariance(prices, rollouts, labels) : Infinity,
  ];
}

// The budgets from which another way starts to win, by halving the intervals that hold them.
function changesOf(prices, budget) {
  const cheap = cheapRollout(prices), gold = goldRollout(prices), lowest = min(cheap, gold), {bias} = prices;
  const starts = [cheap, gold, fewestGold(prices) * (cheap + prices.gold_cost)].filter(start => start <= FARTHEST);
  const equal = bias > 0 ? min(prices.gold_variance * gold / bias / bias, FARTHEST) : 0;
  const grid = spaced(lowest, REACH * max(lowest, budget, equal, ...starts), BUDGETS);
  const winner = money => least(errorsAt(prices, money)), winners = grid.map(winner);
  return winners.slice(1).flatMap((next, k) => {
    if (next === winners[k]) return [];
    let [low, high] = [grid[k], grid[k + 1]];
    for (let round = 0; round < 60; round++) {
      const middle = sqrt(low * high);
      if (winner(middle) === winners[k]) low = middle;
      else high = middle;
    }
    return [{name: WAYS[next], budget: high}];
  });
}

// The plan at these settings.
function plannedMixture(prices) {
  const {budget, correlation, gold_variance, cheap_variance} = prices;
  const choices = choicesOf(prices, budget);
  return {
    choices,
    winner: choices[least(choices.map(choice => choice.error))],
    changes: changesOf(prices, budget),
    coefficient: correlation * sqrt(gold_variance / cheap_variance),
    leastCorrelation: leastCorrelation(prices),
  };
}
