// Results as Markdown tables.

import { format } from './format.mjs'

/** @typedef {import('../questions/section.mjs').Section} Section */

/**
 * A table whose first column is text and whose others are figures.
 *
 * @param {readonly string[]} header
 * @param {readonly (readonly string[])[]} rows
 * @param {number} [texts] How many columns at the end are text.
 */
export function markdownTable(header, rows, texts = 0) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.map(escapeCell).join(' | ')} |`
  const rule = header.map((_, index) => (index === 0 || index >= header.length - texts ? '---' : '---:'))
  return [line(header), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n')
}

/** @param {string} text */
const escapeCell = (text) => text.replaceAll('|', '\\|')

/** @param {Section} section */
export function sectionMarkdown({ title, about, columns, rows, warnings }) {
  const header = ['', ...columns.map(({ label }) => label), 'spread', 'bottleneck']
  const lines = rows.map(({ peer, label, values, spread, remark }) => [
    peer === 'netpoll' ? `**${label}**` : label,
    ...columns.map(({ key, unit }) => format(values[key], unit)),
    format(spread, 'share'),
    remark,
  ])
  // Questions that nobody is a bottleneck of need no such column.
  const remarks = rows.some(({ remark }) => remark !== '')
  const cut = remarks ? lines : lines.map((cells) => cells.slice(0, -1))
  const body = markdownTable(remarks ? header : header.slice(0, -1), cut, remarks ? 1 : 0)
  const told = warnings.map((warning) => `\n> ${warning}\n`).join('')
  return `### ${title}\n\n${about}\n\n${body}\n${told}`
}

/** @param {readonly import('../questions/claims.mjs').Claim[]} claims */
export function claimsMarkdown(claims) {
  const lines = claims.map(({ text, figure, needed, verdict }) => [text, figure, needed, verdict])
  return markdownTable(['', 'measured', 'needed', 'verdict'], lines, 3)
}

/**
 * All sections, under the headings of their groups.
 *
 * @param {readonly Section[]} sections
 */
export function sectionsMarkdown(sections) {
  const groups = [...new Set(sections.map(({ group }) => group))]
  return groups
    .map((group) => {
      const members = sections.filter((section) => section.group === group)
      return `## ${group}\n\n${members.map(sectionMarkdown).join('\n')}`
    })
    .join('\n')
}
