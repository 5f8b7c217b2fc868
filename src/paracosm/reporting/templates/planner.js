// The part of a page in which its settings are moved: reads the fields, says what is wrong beside
// them, and shows what `views[kind]` makes of the settings, in steps that newer input cuts short.

const section = document.getElementById("planner");
let running = null; // the steps of the newest answer

const fields = page.fields.map(field => ({
  ...field,
  input: document.getElementById("planner-" + field.name),
  slider: document.getElementById("planner-" + field.name + "-slider"),
  wrong: document.getElementById("planner-" + field.name + "-wrong"),
}));

// The number in a field; null where it may be empty and is.
const valueOf = ({input}) => input.value.trim() === "" ? null : Number(input.value);

// What is wrong with a field by itself, or nothing.
function fault(field) {
  const value = valueOf(field), {label, least, most} = field;
  const needed = field.whole ? "a whole number" : "a number";
  if (field.input.validity.badInput) return `The ${label} is not a number; ${needed} is needed.`;
  if (value === null) return field.optional ? "" : `The ${label} is empty; ${needed} is needed.`;
  const outside = `The ${label} is ${value}; `;
  if (!Number.isFinite(value)) return outside + "a finite number is needed.";
  if (field.positive && !(value > 0)) return outside + "it must be above 0.";
  if (least !== null && value < least) return outside + `it must be at least ${least}.`;
  if (most !== null && value > most) return outside + `it must be at most ${most}.`;
  if (field.whole && !Number.isInteger(value)) return outside + "a whole number is needed.";
  return "";
}

function say({wrong, input}, sentence) {
  wrong.textContent = sentence;
  input.setAttribute("aria-invalid", sentence !== "");
}

// The settings that the fields hold: the page's own with each field's number at its path.
function settingsNow() {
  const settings = structuredClone(page.settings);
  for (const field of fields) {
    const path = field.name.split("."), last = path.pop();
    path.reduce((inner, key) => inner[key], settings)[last] = valueOf(field);
  }
  return settings;
}

// Sliders double and halve the page's own number; those of a correlation go from end to end.
function fromSlider({slider, value, whole, most}) {
  const place = Number(slider.value);
  if (slider.dataset.scale === "linear") return place;
  if (place === 0) return value;
  const moved = Math.min(Number((value * 2 ** place).toPrecision(3)), most ?? Infinity);
  return whole ? Math.round(moved) : moved;
}

function toSlider({slider, value}, now) {
  slider.value = slider.dataset.scale === "linear" ? now : Math.log2(Math.max(now / value, 2 ** -4));
}

function read() {
  const faults = fields.map(fault);
  faults.forEach((sentence, k) => say(fields[k], sentence));
  const view = views[page.kind], settings = faults.some(Boolean) ? null : settingsNow();
  const refused = settings && view.refusal(settings);
  stop();
  if (refused) refuse(refused);
  fields.forEach(field => {
    field.input.closest(".field").classList.toggle("moved", valueOf(field) !== field.value);
  });
  const moved = fields.some(field => valueOf(field) !== field.value);
  document.getElementById("planner-reset").disabled = !moved;
  document.querySelectorAll(".if-moved").forEach(note => { note.hidden = !moved; });
  section.querySelector(".stale").hidden = Boolean(settings && !refused);
  if (settings && !refused) start(view.show(settings, refuse));
}

// A sentence about all settings stands beside the field that mends it.
function refuse({field, sentence}) {
  say(fields.find(({name}) => name === field), sentence);
  section.querySelector(".stale").hidden = false;
}

function stop() {
  running = null;
  section.setAttribute("aria-busy", "false");
}

function start(steps) {
  running = steps;
  section.setAttribute("aria-busy", "true");
  const next = () => {
    if (running !== steps) return;
    if (steps.next().done) stop();
    else setTimeout(next);
  };
  setTimeout(next);
}

for (const field of fields) {
  field.input.addEventListener("input", () => {
    if (field.slider && !fault(field)) toSlider(field, valueOf(field));
    read();
  });
  field.slider?.addEventListener("input", () => {
    field.input.value = fromSlider(field);
    read();
  });
}

document.getElementById("planner-form").addEventListener("submit", event => event.preventDefault());
document.getElementById("planner-reset").addEventListener("click", () => {
  for (const field of fields) {
    field.input.value = field.value ?? "";
    if (field.slider) toSlider(field, field.value);
  }
  read();
});

section.hidden = false;
document.querySelectorAll(".with-planner").forEach(element => { element.hidden = false; });
read();
