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

/**
 * Figures as multiples of others, round by round, because the machine's speed drifts and both with it.
 *
 * @param {readonly (number | null)[]} ones
 * @param {readonly (number | null)[]} others
 * @returns {readonly number[]} NaN for a round in which one of both is not known.
 */
export function ratiosOfRounds(ones, others) {
  const length = Math.max(ones.length, others.length)
  return Array.from({ length }, (_, round) => (ones[round] ?? Number.NaN) / (others[round] ?? Number.NaN))
}
