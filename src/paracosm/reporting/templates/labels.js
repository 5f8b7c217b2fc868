// Which labels to buy when clean ones are dear: the laws of planning/fidelity.py, label_search.py
// and labels.py.
//
// A rollout has a `cost` without labels, the variance `intrinsic` of its noiseless gradient, and the
// `coefficient` by which label noise adds to it. A fidelity gives the variance of a label at a cost.

const ROUNDING = 1e-12, BELOW = 1e-6, STAND_IN = 1e-2, AROUND = 100, POINTS = 81;
const MOST_LABELS = 1e10, MOST_ROLLOUTS = 1e15, TINY = 2.2250738585072014e-308;
const {exp, log, max, min, sqrt} = Math;
const clip = (value, low, high) => min(max(value, low), high);

const total = (law, cost, rollout) =>
  (rollout.cost + cost) * (rollout.intrinsic + rollout.coefficient * law.variance(cost));

// The law `A c^-p`.
function powerLaw([scale, p]) {
  const law = {dearest: Infinity, variance: cost => scale * cost ** -p};
  law.atZero = [Infinity, p === 1 ? scale : p > 1 ? Infinity : 0];
  law.fallsBelow = ({cost, intrinsic, coefficient}) => {
    const own = log(intrinsic), noise = log(coefficient) + log(scale);
    if (coefficient === 0) return intrinsic > 0 ? 0 : Infinity;
    const byNoise = p > 1 ? exp((log(p - 1) + noise - own) / p) : 0;
    if (cost === 0) return p === 1 && intrinsic === 0 ? Infinity : byNoise;
    if (p >= 1) return max(byNoise, exp((log(p * cost) + noise - own) / (p + 1)));
    return min(exp((log(p * cost / 2) + noise - own) / (p + 1)), p * cost / (2 * (1 - p)));
  };
  law.costOfNoise = ({intrinsic, coefficient}) =>
    exp((log(coefficient) + log(scale) - log(intrinsic)) / p);
  law.bestCost = ({cost, intrinsic, coefficient}, least, most) => {
    const slope = logCost => {
      const c = exp(logCost);
      return intrinsic * c + coefficient * law.variance(c) * ((1 - p) * c - p * cost);
    };
    if (slope(log(least)) >= 0) return least;
    return slope(log(most)) <= 0 ? most : exp(root(slope, log(least), log(most)));
  };
  return law;
}

// The law `V (1 − c/most)`: one of two ends is best.
function boundedLaw([noisiest, dearest]) {
  const law = {dearest, variance: cost => noisiest * max(1 - cost / dearest, 0)};
  const dearer = (rollout, low, high) => total(law, high, rollout) - total(law, low, rollout);
  law.atZero = [noisiest, 0];
  law.fallsBelow = rollout => dearer(rollout, 0, dearest) <= 0 ? Infinity : 0;
  law.costOfNoise = () => dearest;
  law.bestCost = (rollout, least, most) => dearer(rollout, least, most) < 0 ? most : least;
  return law;
}

// The law `V + A/c`, whose best cost has a closed form.
function floorLaw([lowest, scale]) {
  const law = {dearest: Infinity, variance: cost => lowest + scale / cost};
  const still = ({intrinsic, coefficient}) => intrinsic + coefficient * lowest;
  law.atZero = [Infinity, scale];
  law.bestCost = (rollout, least, most) => {
    const gain = rollout.cost * rollout.coefficient * scale, price = still(rollout);
    return clip(sqrt(price > 0 ? gain / price : gain > 0 ? Infinity : 0), least, most);
  };
  law.fallsBelow = rollout =>
    still(rollout) === 0 && rollout.coefficient > 0 ? Infinity : law.bestCost(rollout, 0, Infinity);
  law.costOfNoise = rollout => exp(log(rollout.coefficient) + log(scale) - log(still(rollout)));
  return law;
}

// Measured labels: only their own costs are for sale.
const measuredTable = (costs, variances) => ({costs, variance: cost => variances[costs.indexOf(cost)]});

function fidelityOf({form, numbers, variances}) {
  if (form === "table") return measuredTable(numbers, variances);
  return {power: powerLaw, bounded: boundedLaw, floor: floorLaw}[form](numbers);
}

const ownCosts = ({law, least, most}) =>
  (law.costs ?? []).filter(cost => cost >= least && cost <= most);

// Variance of the gradient, `(V₀ + Q σ²(c)/r)/K`.
const varianceOf = ({law, rollout}, {cost, rollouts, repeats}) =>
  (rollout.intrinsic + rollout.coefficient * law.variance(cost) / repeats) / rollouts;

// The problem within the costs allowed; where none are named, within a factor of 100 of the best.
function limited(problem, least, most) {
  const {law, rollout} = problem;
  if (law.costs) return limitedToTable(problem, least ?? 0, most ?? Infinity);
  const spare = problem.budget - rollout.cost, named = min(law.dearest, most ?? Infinity);
  const lowest = least ?? lowestOf(problem, min(spare, named));
  if (spare <= 0 || rollout.cost + lowest > problem.budget * (1 + ROUNDING)) return tooLittle(problem, lowest);
  const highest = min(max(spare, lowest), named);
  if (highest < lowest) {
    const [field, label] = most === null ? ["least_cost", "highest cost of a label that can be bought"]
      : ["most_cost", "highest cost of a label"];
    return {field, sentence: `The ${label} is ${amount(highest)}; it must be at least ${amount(lowest)}.`};
  }
  const best = searched({...problem, least: lowest, most: highest}, false).cost;
  return {
    ...problem,
    least: least ?? max(lowest, best / AROUND),
    most: most === null ? min(highest, best * AROUND) : highest,
  };
}

const tooLittle = ({budget, rollout}, least) => ({
  field: "budget",
  sentence: `The budget of ${amount(budget)} buys not one rollout: with the cheapest label one costs ${amount(rollout.cost + least)}.`,
});

function limitedToTable(problem, least, most) {
  const costs = ownCosts({...problem, least, most});
  if (costs.length === 0) {
    return {field: "least_cost", sentence: `No label of the table costs between ${amount(least)} and ${amount(most)}.`};
  }
  return {...problem, least: costs[0], most: costs.at(-1)};
}

// Where to search from if no least cost is named: below it no cost is best where some cost is, and where cheaper is
// always better it stands for as cheap as can be.
function lowestOf({law, rollout, budget}, highest) {
  const below = law.fallsBelow(rollout);
  if (below > 0) return max(BELOW * min(below, max(highest, 0)), TINY * max(budget, 1));
  const prices = [rollout.cost, law.costOfNoise(rollout)].filter(price => price > 0 && price < Infinity);
  const standIn = STAND_IN * min(prices[0] ?? BELOW / STAND_IN * budget, law.dearest);
  return min(max(standIn, budget / MOST_LABELS), max(highest, TINY));
}

// The choice of least variance among whole numbers of rollouts and, if `repeated`, of labels on each;
// of equally good ones that with the fewest repeats and then the most rollouts.
function searched(problem, repeated) {
  const choices = problem.law.costs ? ofTable(problem, repeated) : ofLaw(problem, repeated);
  const variances = choices.map(choice => varianceOf(problem, choice));
  const lowest = variances.reduce((low, variance) => min(low, variance), Infinity) * (1 + ROUNDING);
  return choices.filter((_, k) => variances[k] <= lowest)
    .sort((a, b) => a.repeats - b.repeats || b.rollouts - a.rollouts)[0];
}

// Whole numbers up to the square root of all labels: rollouts or repeats are among them.
function* smallCounts({budget, least}, repeated) {
  const end = repeated ? sqrt(budget / least) + 2 : 2;
  for (let number = 1; number < end; number++) yield number;
}

const bothWays = value => [Math.floor(value * (1 + ROUNDING)), Math.ceil(value * (1 - ROUNDING))];

function ofLaw(problem, repeated) {
  const {law, budget, rollout, least, most} = problem, choices = [];
  const consider = (rollouts, repeats) => {
    const cost = min((budget / rollouts - rollout.cost) / repeats, most);
    if (rollouts >= 1 && repeats >= 1 && rollouts * (rollout.cost + repeats * least) <= budget * (1 + ROUNDING))
      choices.push({cost: max(cost, least), rollouts, repeats});
  };
  for (const small of smallCounts(problem, repeated)) {
    const shared = {...rollout, cost: rollout.cost / small, intrinsic: small * rollout.intrinsic};
    for (const cost of [least, law.bestCost(shared, least, most), most])
      bothWays(budget / (rollout.cost + small * cost)).forEach(rollouts => consider(rollouts, small));
    const money = budget / small - rollout.cost;
    if (repeated) for (const cost of [least, most])
      bothWays(money / cost).forEach(repeats => consider(small, repeats));
  }
  return choices;
}

function ofTable(problem, repeated) {
  const {budget, rollout} = problem, choices = [];
  for (const cost of ownCosts(problem)) for (const small of smallCounts(problem, repeated)) {
    const rollouts = Math.floor(budget / (rollout.cost + small * cost) * (1 + ROUNDING));
    const repeats = Math.floor((budget / small - rollout.cost) / cost * (1 + ROUNDING));
    if (rollouts >= 1) choices.push({cost, rollouts, repeats: small});
    if (repeated && repeats >= 1) choices.push({cost, rollouts: small, repeats});
  }
  return choices;
}

// Simple rules, one label on each rollout, that the budget affords and that are not the best itself.
function alternatives(problem, best, names) {
  const {budget, rollout, least, most} = problem, costs = ownCosts(problem);
  const middle = costs.length
    ? [[names.middle, costs[Math.floor(costs.length / 2)]]]
    : [[names.half, best.cost / 2], [names.twice, best.cost * 2], [names.middle, (least + most) / 2]];
  const rules = [[names.cheapest, least], ...middle, [names.dearest, most]].map(([name, cost]) =>
    ({name, cost, repeats: 1, rollouts: Math.floor(budget / (rollout.cost + cost) * (1 + ROUNDING))}));
  const choices = rules.filter(({cost, rollouts}) => least <= cost && cost <= most && rollouts > 0);
  if (best.repeats > 1) choices.unshift({name: names.single, ...searched(problem, false)});
  const same = choice => choice.rollouts === best.rollouts && choice.repeats === best.repeats
    && Math.abs(best.cost - choice.cost) < 1e-3 * best.cost;
  return choices.filter(choice => !same(choice));
}

// Cost, and variance of the gradient at the whole budget in real numbers, with the best real number
// of repeats.
function alongCosts(problem, best, repeated) {
  const {law, budget, rollout, least, most} = problem, own = ownCosts(problem);
  const inside = own.length ? own : [...spaced(least, most, POINTS).slice(1, -1), least, best.cost, most];
  return [...new Set(inside)].sort((a, b) => a - b).map(cost => {
    const noise = rollout.coefficient * law.variance(cost);
    const gain = rollout.cost * noise, price = rollout.intrinsic * cost;
    const repeats = repeated
      ? clip(sqrt(price > 0 ? gain / price : gain > 0 ? Infinity : 0), 1, max((budget - rollout.cost) / cost, 1))
      : 1;
    return [cost, (rollout.cost + repeats * cost) * (rollout.intrinsic + noise / repeats) / budget];
  });
}

// Whether some price above zero is as good as the limit of labels that cost ever less.
function attained(problem, line, repeated) {
  const {law, budget, rollout, least, most} = problem;
  if (law.costs) return true;
  const averaged = repeated && rollout.cost > 0, product = least * law.variance(least);
  if (averaged && rollout.coefficient > 0 && Math.abs(product - law.atZero[1]) <= 1e-12 * Math.abs(law.atZero[1])) return true;
  const totals = line.map(([, variance]) => variance * budget), below = law.fallsBelow(rollout);
  if (!averaged) {
    if (below === 0) return false;
    const low = max(BELOW * min(below, least), TINY);
    totals.push(total(law, law.bestCost(rollout, low, most), rollout));
  }
  return min(...totals) <= limitAtZero(problem, repeated) * (1 + 1e-9);
}

function limitAtZero({law, budget, rollout}, repeated) {
  const {cost, intrinsic: own, coefficient} = rollout;
  const [variance, product] = law.atZero.map(value => coefficient ? coefficient * value : 0);
  if (cost === 0) return product;
  if (!repeated || !Number.isFinite(product)) return cost * (own + variance);
  const spare = budget - cost, money = min(own > 0 ? sqrt(cost * product / own) : spare, spare);
  return money > 0 ? (cost + money) * (own + product / money) : cost * own;
}

// The plan at these settings, or the sentence that stands against one.
function plannedLabels(settings, names) {
  const {cost_rollout: cost, gradient_variance: intrinsic, noise_coefficient: coefficient} = settings;
  const law = fidelityOf(settings), repeated = settings.least_cost !== null || Boolean(law.costs);
  const rollout = {cost, intrinsic, coefficient};
  const problem = limited({law, budget: settings.budget, rollout}, settings.least_cost, settings.most_cost);
  if (problem.sentence) return problem;
  if (repeated && problem.budget / problem.least > MOST_LABELS)
    return {field: "budget", sentence: `The budget buys over ${amount(MOST_LABELS)} labels; name a higher least cost.`};
  const best = searched(problem, repeated);
  if (!best) return tooLittle(problem, problem.least);
  if (best.rollouts > MOST_ROLLOUTS)
    return {field: "budget", sentence: `The budget buys over ${amount(MOST_ROLLOUTS)} rollouts; name the cost of a rollout or a least cost.`};
  const line = alongCosts(problem, best, repeated);
  const withVariance = choice => ({...choice, variance: varianceOf(problem, choice)});
  return {
    best: withVariance(best),
    rules: alternatives(problem, best, names).map(withVariance),
    line,
    attained: attained(problem, line, repeated),
  };
}
