// What a soak may hold, and how long its loops may stand still.

/** By how much the last part may exceed the first: a share, or so many, whichever is more. */
const allowed = { share: 0.05, chunks: 8, descriptors: 8, resident: 16 * 2 ** 20 }
/** Milliseconds that a loop may stand still, beside a multiple of what a process without work has stood still meanwhile. */
const gapAllowance = 1_000
const gapFactor = 10

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]

/** The measurements that are compared: those of the second sixth, once everything is warm, and those of the last. */
export function partsOf(measurements) {
  const size = Math.max(1, Math.floor(measurements.length / 6))
  return { first: measurements.slice(size, 2 * size), last: measurements.slice(-size) }
}

/**
 * What has grown in a process, in words, and its row of the table.
 *
 * @param measurements in the order of time, each with `chunks`, `descriptors` and `resident`
 */
export function growthOf(measurements) {
  const { first, last } = partsOf(measurements)
  const problems = []
  const row = {}
  for (const figure of ['chunks', 'descriptors', 'resident']) {
    const [before, after] = [first, last].map((part) => median(part.map((each) => each[figure])))
    const limit = before + Math.max(before * allowed.share, allowed[figure])
    const shown = (value) => (figure === 'resident' ? `${Math.round(value / 2 ** 20)} MiB` : String(value))
    row[figure] = `${shown(before)} -> ${shown(after)}`
    if (after > limit) problems.push(`${figure} have grown from ${shown(before)} to ${shown(after)}`)
  }
  return { problems, row }
}

/** Whether a loop has stood still for too long, where one without work has for `control` milliseconds. */
export const isGap = (milliseconds, control) => milliseconds > gapAllowance + gapFactor * control
