// Whether what was measured is as good as what is expected.

/**
 * What a figure should be, and how much worse it may get.
 *
 * @typedef {object} Expectation
 * @property {number} value
 * @property {number} tolerance As a part of the value.
 */

/**
 * @typedef {object} Measured
 * @property {string} name
 * @property {number} value
 * @property {number} spread Highest less lowest, as a part of the median.
 */

/**
 * @typedef {'as expected' | 'WORSE' | 'better: expect more' | 'too noisy' | 'not expected yet'} Verdict
 */

/**
 * @param {Measured} measured
 * @param {Expectation | undefined} expectation
 * @param {'more' | 'less'} better
 * @returns {Verdict}
 */
export function judge({ value, spread }, expectation, better) {
  if (expectation === undefined) return 'not expected yet'
  // Rounds that differ by more than what is looked for tell nothing.
  if (!(spread <= expectation.tolerance)) return 'too noisy'
  const change = value / expectation.value - 1
  const gain = better === 'more' ? change : -change
  if (gain < -expectation.tolerance) return 'WORSE'
  return gain > expectation.tolerance ? 'better: expect more' : 'as expected'
}

/** @param {readonly Verdict[]} verdicts */
export const exitCodeOf = (verdicts) => (verdicts.includes('WORSE') ? 1 : 0)
