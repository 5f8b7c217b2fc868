// What a plan for one kind of label shows of its settings.

// A measured table has each cost once, by rising cost.
function labelsRefusal({form, numbers}) {
  const k = form === "table" ? numbers.findIndex((cost, place) => place && cost <= numbers[place - 1]) : -1;
  return k < 0 ? null : {field: `numbers.${k}`, sentence: `The cost is ${numbers[k]}; it must be above the one before, ${numbers[k - 1]}.`};
}

function* showLabels(settings, refuse) {
  const plan = plannedLabels(settings, page.texts.rules);
  if (plan.sentence) {
    refuse(plan);
    return;
  }
  const {best, rules} = plan, often = best.repeats === 1 ? "once" : `${count(best.repeats)} times`;
  fill("verdict", `Buy ${count(best.rollouts)} rollouts, label each ${often} at ${amount(best.cost)}: gradient variance ${number(best.variance)}.`);
  fillRows("choices", [["", {...best, name: "this plan"}], ...rules.map((rule, k) => [LETTERS[k], rule])].map(([letter, choice]) => [
    `${letter || "◆"} ${choice.name}`,
    shown(choice.cost, amount(choice.cost)), shown(choice.rollouts, count(choice.rollouts)),
    shown(choice.repeats, count(choice.repeats)), shown(choice.variance, number(choice.variance)),
    shown(choice.variance / best.variance - 1, share(choice.variance / best.variance - 1)),
  ]), row => row === 0);
  fill("limit", plan.attained ? "" : "The best is a limit that no label reaches; this is the nearest allowed.");
  showCosts(plan);
  yield;
}

// Gradient variance along the costs allowed.
function showCosts({best, rules, line}) {
  const marks = rules.map(({cost, variance}, k) => ({point: [cost, variance], name: LETTERS[k]}));
  const heights = [...line.map(([, variance]) => variance), best.variance].filter(value => value > 0);
  if (heights.length < 2) return fill("costs");
  const [low, high] = [Math.min(...heights), Math.max(...heights)];
  chart({
    id: "costs", label: "Variance of the gradient by cost of a label",
    x: {low: line[0][0] / 1.1, high: line.at(-1)[0] * 1.1, log: true, text: short, name: "cost of a label"},
    y: {low: low / 1.2, high: high * 1.2, log: true, text: short},
    series: [{points: line}, {marks}, {marks: [{point: [best.cost, best.variance]}], own: true}],
  });
}

const views = {labels: {refusal: labelsRefusal, show: showLabels}};
