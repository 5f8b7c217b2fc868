// Tables and charts of a page's answers. Every number carries its full value: <data value="…">.

function element(name, attributes = {}, ...children) {
  const svg = /^(svg|path|line|text|circle|rect|g)$/.test(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const shown = (value, text) => element("data", {value}, text);

const meanOf = estimate => shown(estimate.mean, number(estimate.mean, estimateDecimals(estimate)));

function intervalOf(estimate) {
  const decimals = estimateDecimals(estimate), end = value => shown(value, number(value, decimals));
  return ["[", end(estimate.low), ", ", end(estimate.high), "]"];
}

const fill = (id, ...parts) => document.getElementById("planner-" + id).replaceChildren(...parts);

// Rows of a table: the first cell names the row; a row of the plan's own stands out.
function fillRows(id, rows, own = () => false) {
  fill(id, ...rows.map((cells, k) => element("tr", own(k) ? {class: "sum"} : {}, ...cells.map((cell, place) =>
    element(place ? "td" : "th", place ? {class: "n"} : {scope: "row"}, ...[cell].flat())))));
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

// A chart of lines over a logarithmic or linear axis; `series` are lines, bands and marks in the
// data's units, and what they say is in a table beside.
function chart({id, x, y, series, label}) {
  const [width, height, left, bottom, top, right] = [340, 230, 44, 42, 16, 14];
  const place = (axis, value) => axis.log
    ? Math.log(value / axis.low) / Math.log(axis.high / axis.low)
    : (value - axis.low) / (axis.high - axis.low);
  const at = ([a, b]) => [
    left + place(x, a) * (width - left - right),
    height - bottom - Math.min(1, place(y, b)) * (height - bottom - top),
  ].map(value => value.toFixed(1));
  const line = points => points.map(point => at(point).join(",")).join("L");
  const picture = element("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label});
  for (const tick of ticks(y)) {
    const [, level] = at([x.low, tick]);
    picture.append(
      element("line", {x1: left, x2: width - right, y1: level, y2: level, class: "rule"}),
      element("text", {x: left - 6, y: Number(level) + 4, class: "tick", "text-anchor": "end"}, y.text(tick)));
  }
  for (const tick of ticks(x)) {
    const [where] = at([tick, y.low]);
    picture.append(
      element("line", {x1: where, x2: where, y1: top, y2: height - bottom, class: "rule"}),
      element("text", {x: where, y: height - bottom + 16, class: "tick", "text-anchor": "middle"}, x.text(tick)));
  }
  picture.append(element("text", {x: (left + width - right) / 2, y: height - 4, class: "tick", "text-anchor": "middle"}, x.name));
  for (const {band, points, dash, marks = [], own} of series) {
    if (band) picture.append(element("path", {d: `M${line(band)}Z`, class: "band"}));
    if (points) picture.append(element("path", {d: "M" + line(points), class: "line", "stroke-dasharray": dash ?? "none"}));
    const drawn = marks.filter(({point}) => point.every(Number.isFinite));
    for (const {point} of drawn) {
      const [a, b] = at(point).map(Number);
      picture.append(own
        ? element("path", {d: `M${a},${b - 7}l7,7l-7,7l-7,-7Z`, class: "own"})
        : element("circle", {cx: a, cy: b, r: 3, class: "dot"}));
    }
    for (const {names, x: a, y: b} of together(drawn.filter(({name}) => name), at))
      picture.append(element("text", {x: a, y: b - 9, class: "tick", "text-anchor": "middle"}, names));
  }
  fill(id, picture);
}

// Letters of points that touch stand together.
function together(marks, at) {
  const groups = [];
  for (const {point, name} of marks) {
    const [x, y] = at(point).map(Number);
    const near = groups.find(group => Math.hypot(group.x - x, group.y - y) < 12);
    if (near) near.names += name;
    else groups.push({names: name, x, y});
  }
  return groups;
}

// Round numbers along an axis: 1, 2 and 5 times powers of ten.
function ticks({low, high, log}) {
  const rounds = [];
  if (log) {
    const wide = high > 100 * low ? [1] : [1, 2, 5];
    for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); k++)
      rounds.push(...wide.map(factor => Number(`${factor}e${k}`)));
    const inside = rounds.filter(value => value >= low * 0.999 && value <= high * 1.001);
    return inside.filter((_, k) => k % Math.ceil(inside.length / 7) === 0);
  }
  const rough = (high - low) / 5, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(factor => factor * size >= rough) * size;
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9); k++) rounds.push(k * step);
  return rounds;
}

// A tick's number in few characters.
function short(value) {
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(value) >= size) return Number((value / size).toPrecision(3)) + letter;
  return String(Number(value.toPrecision(3)));
}
