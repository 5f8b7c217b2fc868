// How to split a budget between transitions and reward labels, and what that is expected to leave:
// the laws of planning/budget.py, lot_rounding.py, rules.py, evaluation.py and plan.py.
//
// A task has `laws` (arrays of draws by part), `weights` and `owned` counts, dynamics first; an
// offer has a `cost`, `yields` (samples of either part in a unit) and a `lot`.

const WIDEST = 300, ROUNDING = 1e-12, NEAR = 64;

// The law's draws, each times what a draw of the weight is of the weight.
function weighted(law, weight, unsure) {
  if (!(unsure > 0 && weight > 0)) return law;
  const factor = law.chance.map(chance => Math.abs(1 + unsure / weight * chance));
  const times = column => column.map((value, draw) => value * factor[draw]);
  return {...law, scale: times(law.scale), floor: times(law.floor), added: times(law.added)};
}

// How a draw's curve came to the largest size measured, at a count below that: what it falls from there on
// as a power, its floor then, the bend of its logarithm, and of the logarithm's slope.
function below({scale, exponent, floor, added, bend, size: [size], reach: [reach]}, count, draw) {
  const past = Math.max(Math.log(count / size), -reach);
  return {
    falls: scale[draw] + added[draw] * size ** exponent[draw],
    floor: floor[draw] - added[draw],
    bend: bend[draw] * past * (reach / 2 - past),
    steeper: past > -reach ? bend[draw] * (reach / 2 - 2 * past) : 0,
  };
}

function errorAt(law, count, draw) {
  const power = Math.exp(-law.exponent[draw] * Math.log(count));
  if (!(count < law.size[0])) return law.floor[draw] + law.scale[draw] * power;
  const {falls, floor, bend} = below(law, count, draw);
  return (floor + falls * power) * Math.exp(bend);
}

// The logarithm of how fast a draw's error falls with the count.
function logSlopeAt(law, count, draw) {
  const exponent = law.exponent[draw], fall = -(exponent + 1) * Math.log(count);
  if (!(count < law.size[0])) return Math.log(law.scale[draw] * exponent) + fall;
  const {falls, bend, steeper} = below(law, count, draw);
  return Math.log(falls * (exponent - steeper)) + fall + bend;
}

// The error in return that a part leaves at a count, for each draw; loops, since they run often.
function weighed(task, part, count) {
  const law = task.laws[part], {scale, exponent, floor} = law, weight = task.weights[part], log = Math.log(count);
  const left = new Float64Array(scale.length);
  if (!(weight > 0)) return left;
  if (count < law.size[0]) return left.map((_, draw) => weight * errorAt(law, count, draw));
  for (let draw = 0; draw < left.length; draw++)
    left[draw] = weight * (floor[draw] + scale[draw] * Math.exp(-exponent[draw] * log));
  return left;
}

// The error in return at counts of both parts, for each draw.
function losses(task, counts) {
  const [left, reward] = counts.map((count, part) => weighed(task, part, count));
  for (let draw = 0; draw < left.length; draw++) left[draw] += reward[draw];
  return left;
}

// The logarithm of how fast the expected error in return falls, as a function of a part's count: what the
// draws share is computed once.
function meanLogSlope({laws, weights}, part) {
  const {scale, exponent, size} = laws[part];
  const level = scale.map((value, draw) => Math.log(weights[part] * value * exponent[draw]));
  const terms = new Float64Array(level.length);
  return count => {
    const log = Math.log(count);
    let top = -Infinity, sum = 0;
    for (let draw = 0; draw < terms.length; draw++) {
      terms[draw] = count < size[0]
        ? Math.log(weights[part]) + logSlopeAt(laws[part], count, draw)
        : level[draw] - (exponent[draw] + 1) * log;
      top = Math.max(top, terms[draw]);
    }
    if (!Number.isFinite(top)) return top;
    for (let draw = 0; draw < terms.length; draw++) sum += Math.exp(terms[draw] - top);
    return Math.log(sum / terms.length) + top;
  };
}

// The logarithm of how much the error falls per unit of money spent on an offer.
function logValue(slopes, offer) {
  const [transitions, labels] = offer.yields;
  const dynamics = transitions > 0 ? Math.log(transitions) + slopes[0] : -Infinity;
  const reward = labels > 0 ? Math.log(labels) + slopes[1] : -Infinity;
  return logSum(dynamics, reward) - Math.log(offer.cost);
}

function countsOf(task, offers, amounts) {
  let [dynamics, reward] = task.owned;
  for (let k = 0; k < offers.length; k++) {
    dynamics += amounts[k] * offers[k].yields[0];
    reward += amounts[k] * offers[k].yields[1];
  }
  return [dynamics, reward];
}

// The amounts of least error, lots left aside: the best point lies between two offers, where the last
// unit of money is worth as much on either. `slope` is that of a part at a count, `loss` the error.
function bestSplit(task, offers, budget, slope, loss) {
  const splits = pairs(offers.length).map(pair => {
    const amounts = alongEdge(task, offers, budget, pair, slope), counts = countsOf(task, offers, amounts);
    return {amounts, counts, loss: loss(counts)};
  });
  return splits[least(splits.map(split => split.loss))];
}

function pairs(number) {
  const places = [...Array(number).keys()];
  return places.flatMap(first => places.slice(first + 1).map(second => [first, second]));
}

function alongEdge(task, offers, budget, [first, second], slope) {
  const amounts = offers.map(() => 0);
  const spend = odds => {
    amounts[first] = budget / (1 + Math.exp(-odds)) / offers[first].cost;
    amounts[second] = budget / (1 + Math.exp(odds)) / offers[second].cost;
    return amounts;
  };
  const gain = odds => {
    const slopes = countsOf(task, offers, spend(odds)).map((count, part) => slope(part, count));
    return logValue(slopes, offers[first]) - logValue(slopes, offers[second]);
  };
  return spend(root(gain, -WIDEST, WIDEST) ?? (gain(WIDEST) > 0 ? Infinity : -Infinity));
}

// The best split of the expected error.
function expectedBest(task, offers, budget) {
  const slopes = [0, 1].map(part => meanLogSlope(task, part));
  const slope = (part, count) => slopes[part](count);
  return bestSplit(task, offers, budget, slope, counts => mean(losses(task, counts)));
}

// The best split under each draw, if that were the law.
function bestSplits(task, offers, budget) {
  const {laws, weights} = task;
  const error = (part, count, draw) => weights[part] > 0 ? weights[part] * errorAt(laws[part], count, draw) : 0;
  return Array.from(laws[0].scale, (_, draw) => bestSplit(
    task, offers, budget,
    (part, count) => Math.log(weights[part]) + logSlopeAt(laws[part], count, draw),
    ([dynamics, reward]) => error(0, dynamics, draw) + error(1, reward, draw)));
}

const lotPrice = offer => offer.cost * offer.lot;

// Whole lots, with as many more as what is left of the budget pays for, in this order of offers.
function filled(offers, amounts, budget, order) {
  const bought = amounts.map((amount, k) => Math.floor(amount / offers[k].lot * (1 + ROUNDING)));
  let left = budget * (1 + ROUNDING) - spentOn(offers, bought);
  for (const k of order) {
    const more = Math.max(Math.floor(left / lotPrice(offers[k])), 0);
    bought[k] += more;
    left -= more * lotPrice(offers[k]);
  }
  return affordable(bought, offers, budget, order.at(-1)).map((lots, k) => lots * offers[k].lot);
}

const spentOn = (offers, lots) => lots.reduce((sum, count, k) => sum + count * lotPrice(offers[k]), 0);

// Lots that cost no more than the budget exactly, prices being the decimals that they print as.
function affordable(bought, offers, budget, last) {
  if (spentOn(offers, bought) <= budget) return bought;
  const [, money, ...costs] = inUnits(budget, ...offers.map(offer => offer.cost));
  const prices = costs.map((cost, k) => cost * BigInt(offers[k].lot));
  let over = bought.reduce((sum, count, k) => sum + BigInt(count) * prices[k], -money);
  for (const k of [last, ...offers.keys()]) {
    const needed = over > 0n ? Number((over + prices[k] - 1n) / prices[k]) : 0;
    const less = Math.min(needed, bought[k]);
    bought[k] -= less;
    over -= BigInt(less) * prices[k];
  }
  return bought;
}

// The digits of a number as it prints, and the power of ten of the last one.
function decimal(number) {
  const [mantissa, power = "0"] = String(number).split("e"), [whole, part = ""] = mantissa.split(".");
  return [BigInt(whole + part), Number(power) - part.length];
}

// Amounts of money as multiples of one power of ten, which comes first: their sums are exact, prices
// being the decimals that they print as.
function inUnits(...amounts) {
  const decimals = amounts.map(decimal), lowest = Math.min(...decimals.map(([, power]) => power));
  return [lowest, ...decimals.map(([digits, power]) => digits * 10n ** BigInt(power - lowest))];
}

// Whether the money pays for some lot.
const paysForLot = (offers, money) => offers.some(({cost, lot}) => {
  const [, all, each] = inUnits(money, cost);
  return each * BigInt(lot) <= all;
});

// How many episodes the money pays for beside these lots; below 0 where the lots are too dear.
function episodesBeside(offers, lots, money, cost) {
  const [, all, each, ...costs] = inUnits(money, cost, ...offers.map(offer => offer.cost));
  const left = lots.reduce((sum, count, k) => sum - BigInt(count) * BigInt(offers[k].lot) * costs[k], all);
  return left < 0n ? -1 : Number(left / each);
}

// How many it pays for beside the cheapest lot.
const mostEpisodes = (offers, money, cost) => Math.max(...offers.map((_, first) =>
  episodesBeside(offers, offers.map((_, k) => k === first ? 1 : 0), money, cost)));

// The money that so many episodes leave.
function leftBy(money, cost, count) {
  const [power, all, each] = inUnits(money, cost);
  return Number(`${all - BigInt(count) * each}e${power}`);
}

// The best split into whole lots: of those near the exact one, with what is left spent too.
function roundToLots(task, offers, budget) {
  const exact = expectedBest(task, offers, budget);
  const slopes = exact.counts.map((count, part) => meanLogSlope(task, part)(count));
  const value = offers.map(offer => logValue(slopes, offer));
  const favourites = [...offers.keys()].sort((i, k) =>
    (exact.amounts[i] <= 0) - (exact.amounts[k] <= 0) || (value[k] > value[i]) - (value[k] < value[i]));
  const orders = [favourites, [...favourites.slice(0, 2).reverse(), ...favourites.slice(2)]];
  const candidates = orders.flatMap(order => near(exact, offers, budget, order));
  return leastLoss(task, offers, candidates, exact.counts);
}

// The candidate of least expected error. Few are computed: below every error that is a mean of powers
// lies its Taylor polynomial of third order, as its fourth derivative is positive; a candidate whose
// polynomial lies above an error already computed cannot be the best.
function leastLoss(task, offers, candidates, around) {
  const below = around.map((count, part) => polynomialBelow(task, part, count));
  const counts = candidates.map(amounts => countsOf(task, offers, amounts));
  const bound = counts.map(([dynamics, reward]) => below[0](dynamics) + below[1](reward));
  const order = [...candidates.keys()].sort((i, k) => bound[i] - bound[k] || i - k);
  let best = null, lowest = Infinity;
  for (const k of order) {
    if (bound[k] * (1 - ROUNDING) > lowest) break;
    const loss = mean(losses(task, counts[k]));
    if (best === null || loss < lowest || (loss === lowest && k < best)) [best, lowest] = [k, loss];
  }
  return candidates[best];
}

// Around a count, the third-order polynomial of a part's expected error; nothing is known around 0, nor
// below the largest size measured, where the error is no mean of powers.
function polynomialBelow(task, part, middle) {
  const {scale, exponent, floor, size} = task.laws[part], weight = task.weights[part], sums = [0, 0, 0, 0];
  if (!(weight > 0)) return () => 0;
  if (!(middle > 0) || middle < size[0]) return () => -Infinity;
  for (let draw = 0; draw < scale.length; draw++) {
    const power = weight * scale[draw] * middle ** -exponent[draw], a = exponent[draw];
    sums[0] += weight * floor[draw] + power;
    sums[1] -= a * power;
    sums[2] += a * (a + 1) * power / 2;
    sums[3] -= a * (a + 1) * (a + 2) * power / 6;
  }
  const [zeroth, first, second, third] = sums.map(sum => sum / scale.length);
  return count => {
    if (count < size[0]) return -Infinity;
    const step = (count - middle) / middle;
    return zeroth + step * (first + step * (second + step * third));
  };
}

function near(exact, offers, budget, order) {
  const first = order[0], {lot} = offers[first], middle = Math.floor(exact.amounts[first] / lot);
  const most = Math.floor(budget * (1 + ROUNDING) / lotPrice(offers[first])), lots = [];
  for (let k = Math.max(middle - NEAR, 0); k <= Math.min(middle + NEAR, most); k++) lots.push(k);
  return lots.map(count => filled(
    offers, offers.map((_, k) => k === first ? count * lot : 0), budget, [...order.slice(1), first]));
}

// What these amounts buy: counts, spending, and the predicted error; the regret where the best under
// each draw is known.
function purchase(name, task, offers, amounts, best = null) {
  const counts = countsOf(task, offers, amounts), left = losses(task, counts);
  return {
    name, units: amounts, counts,
    dynamics: counts[0] - task.owned[0],
    reward: counts[1] - task.owned[1],
    spend: offers.reduce((sum, offer, k) => sum + offer.cost * amounts[k], 0),
    error: overDraws(left),
    regret: best && overDraws(left.map((loss, draw) => loss / best[draw] - 1)),
  };
}

// The offer that yields only this part and has the lowest price per sample.
function cheapest(offers, part) {
  const alone = [...offers.keys()].filter(k => offers[k].yields[part] > 0 && !(offers[k].yields[1 - part] > 0));
  return alone[least(alone.map(k => offers[k].cost / offers[k].yields[part]))];
}

function byShares(name, market, shares) {
  const {task, offers, budget, best} = market;
  const amounts = offers.map((offer, k) => (shares.get(k) ?? 0) * budget / offer.cost);
  return purchase(name, task, offers, filled(offers, amounts, budget, [...shares.keys()]), best);
}

// The rules that use nothing but prices.
function simpleRules(market, names) {
  const {offers} = market, [transition, label] = [cheapest(offers, 0), cheapest(offers, 1)];
  const [first, second] = [transition, label].map((k, part) => offers[k].cost / offers[k].yields[part]);
  const evenly = first / (first + second);
  const rules = [
    byShares(names.spending, market, new Map([[transition, 0.5], [label, 0.5]])),
    byShares(names.counts, market, new Map([[transition, evenly], [label, 1 - evenly]])),
    byShares(names.transitions, market, new Map([[transition, 1]])),
    byShares(names.labels, market, new Map([[label, 1]])),
    ...[...offers.keys()].filter(k => Math.min(...offers[k].yields) > 0)
      .map(k => byShares(names.joint, market, new Map([[k, 1]]))),
  ];
  return rules.filter(rule => Number.isFinite(rule.error.mean));
}

function acrossShares(market, number = 41) {
  const [transition, label] = [cheapest(market.offers, 0), cheapest(market.offers, 1)];
  return Array.from({length: number}, (_, k) => (k + 0.5) / number).map(share =>
    byShares("", market, new Map([[transition, share], [label, 1 - share]])));
}

// The best splits of a quarter of the budget to four times it.
function* frontier(task, offers, budget) {
  for (let k = -4; k <= 4; k++) {
    const money = budget * 2 ** (k / 2);
    if (!paysForLot(offers, money)) continue;
    const split = purchase("", task, offers, roundToLots(task, offers, money));
    if (Number.isFinite(split.error.mean)) yield {...split, factor: 2 ** (k / 2)};
  }
}

const USUAL = [5, 10, 20, 50, 100];

// Real episodes of the new policy: the number at which predicted error and half-width of the mean
// return have the least sum. Lots left aside the sum falls and then rises; around that number, those
// are compared in whole lots that leave just the lots around the exact split.
function buyEpisodes(task, offers, money, {cost, deviation}) {
  const halfWidth = count => studentQuantile(count - 1) * deviation / Math.sqrt(count);
  const exact = count => expectedBest(task, offers, money - cost * count);
  const total = count => exact(count).loss + halfWidth(count);
  const most = mostEpisodes(offers, money, cost);
  let low = 2, high = most;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (total(middle) <= total(middle + 1)) high = middle;
    else low = middle + 1;
  }
  const around = exact(low).amounts.reduce((rows, amount, k) => rows.flatMap(row =>
    [Math.floor(amount / offers[k].lot), Math.ceil(amount / offers[k].lot)].map(lots => [...row, lots])), [[]]);
  const leaving = around.map(lots => episodesBeside(offers, lots, money, cost));
  const usual = USUAL.filter(count => count <= most);
  const tried = [low, ...usual, ...leaving.map(count => Math.min(Math.max(count, 2), most))];
  const counts = [...new Set(tried)].sort((i, k) => i - k);
  const sums = counts.map(count => halfWidth(count)
    + mean(losses(task, countsOf(task, offers, roundToLots(task, offers, leftBy(money, cost, count))))));
  const episodes = counts[least(sums)];
  return {episodes, halfWidth: halfWidth(episodes), spend: episodes * cost};
}

// The plan at these settings, all but its frontier.
function planned(settings, names) {
  const {offers, routes} = settings;
  const taskOf = ({weights, unsure}) => ({
    laws: settings.laws.map((law, part) => weighted(law, weights[part], unsure[part])), weights, owned: settings.owned,
  });
  const task = taskOf(settings);
  const evaluation = settings.episode && buyEpisodes(task, offers, settings.budget, settings.episode);
  const budget = evaluation
    ? leftBy(settings.budget, settings.episode.cost, evaluation.episodes) : settings.budget;
  const splits = bestSplits(task, offers, budget), best = splits.map(split => split.loss);
  const market = {task, offers, budget, best};
  const chosen = purchase("this plan", task, offers, roundToLots(task, offers, budget), best);
  const regrets = losses(task, chosen.counts).map((loss, draw) => loss / best[draw] - 1).sort();
  const rivals = routes.map(route =>
    purchase(route.name, task, offers, roundToLots(taskOf(route), offers, budget), best));
  return {
    task, budget, evaluation, chosen,
    before: overDraws(losses(task, task.owned)),
    cautious: mean(regrets.slice(-Math.max(1, Math.floor(regrets.length / 4)))),
    ratio: chosen.counts[0] / chosen.counts[1],
    interval: between(splits.map(({counts: [dynamics, reward]}) => dynamics / reward), 0.9),
    rules: [...simpleRules(market, names), ...rivals],
    across: acrossShares(market),
  };
}
