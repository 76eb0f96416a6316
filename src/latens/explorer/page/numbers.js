// Numbers as people read them: no exponents, a few digits, thousands separated.

/** The class of a point that has none, as columns.py has it. */
export const NO_VALUE = 65535;

const MANY = 1e15; // from here on words of powers are clearer than rows of zeros
const FEW = 1e-6;

/**
 * A number in a few significant digits. -2345 is "-2,345", 0.00213 is "0.00213", 1.2e-9 is "1.2 × 10⁻⁹".
 * @param {number|null|undefined} value @param {number} [digits]
 */
export function readable(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const size = Math.abs(value);
  if (value === 0 || (size >= FEW && size < MANY)) {
    // Whole digits are never rounded away: 12,345 stays what it is.
    if (size >= 10 ** (digits - 1)) return Math.round(value).toLocaleString("en");
    return (value || 0).toLocaleString("en", {maximumSignificantDigits: digits}); // -0 is 0
  }
  const power = Math.floor(Math.log10(size));
  const raised = [...String(power)].map((one) => (one === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(one)])).join("");
  return `${(value / 10 ** power).toLocaleString("en", {maximumSignificantDigits: digits})} × 10${raised}`;
}

/** A number with the same count of decimals each time, so that it does not jump while it changes. @param {number} value @param {number} [decimals] */
export function steady(value, decimals = 2) {
  if (!Number.isFinite(value) || Math.abs(value) >= 1000) return readable(value);
  const rounded = value.toFixed(decimals);
  return Number(rounded) === 0 ? rounded.replace("-", "") : rounded;
}

/** A share in percent. @param {number} share @param {number} [decimals] */
export const percent = (share, decimals = 0) => `${readable(Math.round(100 * share * 10 ** decimals) / 10 ** decimals)} %`;
