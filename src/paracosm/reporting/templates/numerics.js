// What the laws of a plan's page share: roots, quantiles, sums in logarithms.

// The root of `f` between two ends at which its signs differ, to the last place of a double;
// null where they do not (Chandrupatla 1997).
function root(f, low, high) {
  let a = high, b = low, c = low, fa = f(high), fb = f(low), fc = fb, step = 0.5;
  if (!(Math.sign(fa) * Math.sign(fb) <= 0)) return null;
  for (let round = 0; round < 200; round++) {
    const best = Math.abs(fa) < Math.abs(fb) ? a : b;
    const tolerance = (4e-16 * Math.abs(best) + 4e-16) / Math.abs(b - a);
    if (tolerance > 0.5 || Math.min(Math.abs(fa), Math.abs(fb)) === 0) return best;
    const x = a + Math.min(1 - tolerance, Math.max(tolerance, step)) * (b - a), fx = f(x);
    if (Math.sign(fx) === Math.sign(fa)) [c, fc] = [a, fa];
    else [c, b, fc, fb] = [b, a, fb, fa];
    [a, fa] = [x, fx];
    const xi = (a - b) / (c - b), phi = (fa - fb) / (fc - fb);
    const curved = phi * phi < xi && (1 - phi) * (1 - phi) < 1 - xi;
    step = curved
      ? (fa / (fb - fa)) * (fc / (fb - fc)) + ((c - a) / (b - a)) * (fa / (fc - fa)) * (fb / (fc - fb))
      : 0.5;
  }
  return Math.abs(fa) < Math.abs(fb) ? a : b;
}

// The logarithm of the sum of two numbers given by their logarithms.
function logSum(first, second) {
  const top = Math.max(first, second);
  return Number.isFinite(top) ? top + Math.log1p(Math.exp(Math.min(first, second) - top)) : top;
}

function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

// The two draws between which a share `level` of the draws lies.
function between(values, level) {
  const sorted = Float64Array.from(values).sort();
  const nearest = share => sorted[Math.max(0, Math.ceil(sorted.length * share - 1.5))];
  return [nearest((1 - level) / 2), nearest((1 + level) / 2)];
}

// Mean over draws, with the interval that holds 95% of them.
function overDraws(values) {
  const [low, high] = between(values, 0.95);
  return {mean: mean(values), low, high};
}

// The place of the least value, the first of several.
function least(values) {
  let place = 0;
  values.forEach((value, k) => { if (value < values[place]) place = k; });
  return place;
}

function spaced(low, high, number) {
  const growth = Math.log(high / low) / (number - 1);
  return Array.from({length: number}, (_, k) => low * Math.exp(growth * k));
}

// The 97.5% quantile of Student's t: the root of its distribution function, a finite sum
// (Abramowitz & Stegun 26.7.3 and 26.7.4), or from 200 degrees of freedom on its expansion
// (26.7.5), whose next term is below 1e-10.
function studentQuantile(freedom) {
  if (freedom >= 200) {
    const z = 1.959963984540054, powers = [1, 3, 5, 7, 9].map(power => z ** power);
    const terms = [[1, 1], [3, 16, 5], [-15, 17, 19, 3], [-945, -1920, 1482, 776, 79]];
    const scales = [4, 96, 384, 92160];
    return terms.reduce((sum, factors, k) =>
      sum + factors.reduce((part, factor, j) => part + factor * powers[j], 0)
        / (scales[k] * freedom ** (k + 1)), z);
  }
  return root(t => within(t, freedom) - 0.95, 0, 13);
}

// The probability that Student's t lies between -t and t.
function within(t, freedom) {
  const angle = Math.atan(t / Math.sqrt(freedom)), square = Math.cos(angle) ** 2, odd = freedom % 2;
  let term = odd ? Math.cos(angle) : 1, sum = freedom === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k <= freedom - 2; k += 2) sum += term *= square * (k - 1) / k;
  return odd ? 2 / Math.PI * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}
