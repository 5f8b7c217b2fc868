// What a plan for transitions and labels shows of its settings.

const MOST_LOTS = 1e15; // more cannot be counted exactly
const drawnLaws = page.laws.map(law => Object.fromEntries(Object.entries(law).map(unpacked)));

function unpacked([name, text]) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return [name, new Float64Array(bytes.buffer)];
}

// The first field that stands against a plan, and why; null if none does.
function splitRefusal({offers, budget, weights, episode}) {
  const lot = Math.min(...offers.map(lotPrice)), needed = lot + (episode ? 2 * episode.cost : 0);
  const lots = episode ? "two episodes and the cheapest lot cost" : "the cheapest lot costs";
  if (!(weights[0] + weights[1] > 0))
    return {field: "weights.0", sentence: "Both weights are 0; one must be above 0."};
  const most = episode ? mostEpisodes(offers, budget, episode.cost) : 0;
  if (episode ? most < 2 : !paysForLot(offers, budget))
    return {field: "budget", sentence: `The budget is ${budget}; ${lots} ${amount(needed)}.`};
  if (budget / lot > MOST_LOTS)
    return {field: "budget", sentence: "The budget buys more lots than can be counted exactly."};
  if (most > MOST_LOTS)
    return {field: "budget", sentence: "The budget buys more episodes than can be counted exactly."};
  return null;
}

function* showSplit(settings, refuse) {
  const plan = planned({...settings, laws: drawnLaws}, page.texts.rules);
  if (!Number.isFinite(plan.chosen.error.mean)) {
    refuse({field: "budget", sentence: "The budget does not buy a lot of both parts, and of one of them nothing is owned."});
    return;
  }
  showPurchase(settings, plan);
  showSplits(settings, plan);
  const ways = [];
  for (const way of frontier(plan.task, settings.offers, plan.budget)) {
    ways.push(way);
    yield;
  }
  showFrontier(plan, ways);
}

function showPurchase({offers, owned, episode}, {chosen, evaluation, before, cautious, ratio, interval}) {
  const sold = offers.map(({cost}, k) => [page.texts.bought[k], chosen.units[k], cost]);
  if (evaluation) sold.push(["evaluation episodes", evaluation.episodes, episode.cost]);
  fillRows("buy", sold.map(([name, units, cost]) =>
    [name, shown(units, count(units)), unitPrice(cost), shown(units * cost, price(units * cost))]));
  const errors = [["before buying", before], ["after buying", chosen.error]];
  fillRows("errors", errors.map(([when, error]) => [when, meanOf(error), intervalOf(error)]));
  fillRows("facts", [
    ["transitions for each label, then", shown(ratio, number(ratio)),
      ["[", shown(interval[0], number(interval[0])), ", ", shown(interval[1], number(interval[1])), "]"]],
    ["expected regret, on average", shown(chosen.regret.mean, share(chosen.regret.mean)), ""],
    ["in the worst quarter", shown(cautious, share(cautious)), ""],
  ]);
  if (evaluation) {
    const {episodes, halfWidth} = evaluation, error = chosen.error.mean, sum = halfWidth + error;
    fillRows("evaluation", [["this plan", shown(episodes, count(episodes)),
      ...[halfWidth, error, sum].map(value => shown(value, number(value)))]]);
  }
  const parts = sold.filter(([, units]) => units > 0).map(([name, units]) => `${count(units)} ${name}`);
  const bought = [parts.slice(0, -1).join(", "), ...parts.slice(-1)].filter(Boolean).join(" and ");
  const {mean, low, high} = chosen.error, decimals = estimateDecimals(chosen.error);
  const [middle, ...ends] = [mean, low, high].map(value => number(value, decimals));
  fill("verdict", `Buy ${bought || "nothing"}: predicted error in return ${middle}, 95% interval [${ends.join(", ")}].`);
}

// The plan, lettered simple rules, and all splits of the same money.
function showSplits({offers}, {chosen, rules, across}) {
  const rows = [["", chosen], ...rules.map((rule, k) => [LETTERS[k], rule])];
  fillRows("splits", rows.map(([letter, {name, dynamics, reward, error, regret}]) => [
    `${letter || "◆"} ${name}`,
    shown(dynamics, count(dynamics)), shown(reward, count(reward)),
    shown(error.mean, number(error.mean)), shown(regret.mean, share(regret.mean)),
  ]), row => row === 0);
  const ways = across.filter(({error}) => Number.isFinite(error.high));
  const place = way => [moneyShare(way, offers), way.error.mean];
  const lowest = Math.min(...ways.map(({error}) => error.mean));
  const high = 1.05 * Math.max(...ways.filter(({error}) => error.mean <= 3 * lowest).map(({error}) => error.high));
  chart({
    id: "across", label: "Predicted error by share of the money for transitions",
    x: {low: 0, high: 1, text: percent, name: "share of the money for transitions"},
    y: {low: 0, high, text: short},
    series: [
      bandOf(ways, way => moneyShare(way, offers)),
      {points: ways.map(place)},
      {marks: rules.map((rule, k) => ({point: place(rule), name: LETTERS[k]}))},
      {marks: [{point: place(chosen)}], own: true},
    ],
  });
}

// Between the ends of the errors' intervals, up one side and down the other.
function bandOf(ways, across) {
  const edge = end => ways.map(way => [across(way), way.error[end]]);
  return {band: [...edge("low"), ...edge("high").reverse()]};
}

// The share of the money that goes to transitions; a labelled one's price is shared out by the single
// prices.
function moneyShare({units}, offers) {
  const [transition, label] = offers, joint = transition.cost / (transition.cost + label.cost);
  const shares = offers.map(({yields: [transitions, labels]}) => transitions > 0 ? (labels > 0 ? joint : 1) : 0);
  const spent = units.map((number, k) => number * offers[k].cost), all = spent.reduce((sum, cost) => sum + cost, 0);
  return spent.reduce((sum, cost, k) => sum + shares[k] * cost, 0) / all;
}

function showFrontier({chosen}, ways) {
  fillRows("budgets", ways.map(({spend, dynamics, reward, error}) => [
    shown(spend, price(spend)), shown(dynamics, count(dynamics)), shown(reward, count(reward)),
    shown(error.mean, number(error.mean)), intervalOf(error),
  ]), row => ways[row].factor === 1);
  const spend = way => way.spend, spends = ways.map(spend);
  chart({
    id: "frontier", label: "Predicted error by money spent",
    x: {low: Math.min(...spends), high: Math.max(...spends), log: true, text: short, name: "money spent"},
    y: {low: 0, high: 1.05 * Math.max(...ways.map(({error}) => error.high)), text: short},
    series: [
      bandOf(ways, spend),
      {points: ways.map(way => [way.spend, way.error.mean]), marks: ways.map(way => ({point: [way.spend, way.error.mean]}))},
      {marks: [{point: [chosen.spend, chosen.error.mean]}], own: true},
    ],
  });
}

const views = {split: {refusal: splitRefusal, show: showSplit}};
