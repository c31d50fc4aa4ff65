// What a soak may hold, and how long its loops may stand still.

/** By how much the last part may exceed the first: a share, or so many, whichever is more. */
const allowed = { share: 0.05, chunks: 8, descriptors: 8, resident: 16 * 2 ** 20 }
/** Milliseconds that a loop may stand still by itself. */
const gapAllowance = 1_000
/** Looks in each part from which on resident memory is compared: one alone says how the last storm was. */
const enoughLooks = 3

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
    const isCompared = figure !== 'resident' || first.length >= enoughLooks
    if (isCompared && after > limit)
      problems.push(`${figure} have grown from ${shown(before)} to ${shown(after)}`)
  }
  return { problems, row }
}

/**
 * Whether a loop has stood still for too long.
 *
 * @param own milliseconds in which it stood still although the system let it go on
 * @param standstill those of a process that does nothing
 */
export const isGap = (own, standstill) => own > gapAllowance + standstill

/** Milliseconds after which servers give up a peer that does not go on. */
export const serverLimit = 5_000

/**
 * Whether servers may have given up a client that stood still for so long. Two of its pauses may lie within their limit.
 */
export const mayBeGivenUp = (milliseconds) => milliseconds > serverLimit / 2
