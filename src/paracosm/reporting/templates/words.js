// Numbers in words, digit for digit as the rest of the page has them (words.py).

const MINUS = "\u2212";

// A number for reading: three significant digits unless told, thousands separated.
function number(value, decimals = null) {
  if (Number.isNaN(value)) return "undefined";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : MINUS + "∞";
  const size = Math.abs(value), tiny = decimals === null && size > 0 && size < 1e-4;
  if (size >= 1e9 || tiny || (decimals ?? 0) > 7) return power(value);
  return grouped(value, decimals ?? digitsAfter(size));
}

function power(value) {
  const [digits, exponent] = value.toExponential(2).split("e");
  const size = String(Math.abs(exponent)).padStart(2, "0");
  return `${digits}e${exponent < 0 ? MINUS : "+"}${size}`.replace(/^-/, MINUS);
}

function digitsAfter(scale, digits = 3) {
  return scale > 0 ? Math.max(0, digits - 1 - Math.floor(Math.log10(scale))) : 0;
}

function grouped(value, decimals) {
  const [whole, part] = halfToEven(Math.abs(value), decimals).split(".");
  const digits = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? "." + part : "");
  return (value < 0 && /[1-9]/.test(digits) ? MINUS : "") + digits;
}

// A size rounded as Python rounds: exactly, and to the even digit where it is halfway.
function halfToEven(size, decimals) {
  const up = size.toFixed(decimals), exact = size.toFixed(60), rest = exact.slice(exact.indexOf(".") + 1 + decimals);
  if (!/^50*$/.test(rest) || /[02468]$/.test(up)) return up;
  const step = decimals ? 10 ** -decimals : 1;
  return (Number(up) - step).toFixed(decimals);
}

// Decimals that show two significant digits of the half width, at most five of the mean.
function estimateDecimals({mean, low, high}) {
  const half = (high - low) / 2, size = Number.isFinite(mean) ? Math.abs(mean) : 0;
  if (!(Number.isFinite(half) && half > 0)) return digitsAfter(size, 4);
  return Math.min(digitsAfter(half, 2), Math.max(digitsAfter(size, 5), digitsAfter(half, 1)));
}

// An amount of money.
function price(amount) {
  if (Math.abs(amount) > 1e15) return power(amount);
  return grouped(amount, 2).replace(/\.00$/, "");
}

// The price of one unit: below 1, where hundredths do not tell it, three significant digits.
function unitPrice(amount) {
  return amount >= 1 || Number(amount.toFixed(2)) === amount ? price(amount) : number(amount);
}

const count = value => grouped(value, 0);

// A quantity that may be given rather than measured: no zeros at its end.
function amount(value) {
  const text = number(value);
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}

const percent = share => number(100 * share, digitsAfter(100 * Math.abs(share), 2)) + "%";

const share = part => 0 < part && part < 1e-5 ? "below " + percent(1e-5) : percent(part);
