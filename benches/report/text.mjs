// Results on the terminal.

import { cellsOf } from './markdown.mjs'

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

/** @param {Section} section */
export function sectionText(section) {
  const header = ['', ...section.columns.map(({ label }) => label), 'spread', '']
  const told = section.warnings.map((warning) => `  warning: ${warning}\n`).join('')
  return `\n${section.group} · ${section.title}\n${table(header, cellsOf(section))}\n${told}`
}

/** @param {readonly Claim[]} claims */
export function claimsText(claims) {
  const lines = claims.map(({ text, figure, needed, verdict }) => [text, figure, needed, verdict])
  return `\nGoals and verdicts\n${table(['', 'measured', 'needed', ''], lines)}`
}
