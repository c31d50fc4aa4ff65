// The little statistics that a few rounds allow.

/**
 * @param {readonly number[]} values
 * @returns {number} The middle value, or the mean of the two in the middle.
 */
export function median(values) {
  const sorted = values.toSorted((first, second) => first - second)
  const upper = sorted[sorted.length >> 1] ?? Number.NaN
  const lower = sorted[(sorted.length - 1) >> 1] ?? Number.NaN
  return (lower + upper) / 2
}

/**
 * @param {readonly number[]} values
 * @returns {number} The distance of the lowest and the highest value, as a part of the median.
 */
export function spread(values) {
  return values.length === 0 ? Number.NaN : (Math.max(...values) - Math.min(...values)) / median(values)
}
