// Tables and numbers for people.

/**
 * Aligns columns: the first to the left, all others to the right, but for the
 * last if it is text that goes on.
 *
 * @param {readonly string[]} header
 * @param {readonly (readonly string[])[]} rows
 * @returns {string}
 */
export function table(header, rows) {
  const lines = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  return lines
    .map((line) => {
      const cells = line.map((cell, column) => {
        const width = widths[column] ?? 0
        return column === 0 || column === header.length - 1 ? cell.padEnd(width) : cell.padStart(width)
      })
      return `  ${cells.join('   ')}`.trimEnd()
    })
    .join('\n')
}

/** @param {number} value */
export const whole = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : '?')

/** @param {number} share */
export const percent = (share) => (Number.isFinite(share) ? `${Math.round(share * 100)} %` : '?')

/** @param {number | null | undefined} value */
export const microseconds = (value) =>
  value === null || value === undefined || !Number.isFinite(value)
    ? '?'
    : `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : whole(value)} µs`

/** @param {number} bytes */
export const megabytes = (bytes) => (Number.isFinite(bytes) ? `${(bytes / 1e6).toFixed(1)} MB` : '?')
