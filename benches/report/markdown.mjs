// Results as Markdown.

import { format } from '../runner/format.mjs'

/** @param {string} text */
export const escapeText = (text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

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
const escapeCell = (text) => escapeText(text).replaceAll('|', '\\|')

/** The rows of a table, as text. @param {Section} section */
export const cellsOf = ({ columns, rows }) =>
  rows.map(({ label, values, spread, remark }) => [
    label,
    ...columns.map(({ key, unit }) => format(values[key], unit)),
    format(spread, 'share'),
    remark,
  ])

/** @param {string} peer @param {string | undefined} label */
const named = (peer, label = '') => (peer === 'netpoll' ? `**${label}**` : label)

/** @param {Section} section */
export function sectionTable(section) {
  const { columns, rows } = section
  const header = ['', ...columns.map(({ label }) => label), 'spread', 'bottleneck']
  const lines = cellsOf(section).map(([label, ...cells], row) => [
    named(rows[row]?.peer ?? '', label),
    ...cells,
  ])
  // Questions without a bottleneck need no such column.
  const remarks = rows.some(({ remark }) => remark !== '')
  const cut = remarks ? lines : lines.map((cells) => cells.slice(0, -1))
  return markdownTable(remarks ? header : header.slice(0, -1), cut, remarks ? 1 : 0)
}

/** @param {Section} section */
const toldOf = ({ warnings, run }) => [...warnings, ...(run === undefined ? [] : [run])]

/** What stands over the figures of a section. @param {Section} section */
export const sectionHead = ({ title, about }) => `### ${escapeText(title)}\n\n${about}\n`

/** @param {Section} section */
export const sectionNotes = (section) =>
  toldOf(section)
    .map((warning) => `\n> ${escapeText(warning)}\n`)
    .join('')

/** @param {Section} section */
export const sectionMarkdown = (section) =>
  `${sectionHead(section)}\n${sectionTable(section)}\n${sectionNotes(section)}`

/** @param {readonly Claim[]} claims */
export function claimsMarkdown(claims) {
  const lines = claims
    .filter(({ verdict }) => verdict !== 'not measured')
    .map(({ text, figure, needed, verdict }) => [text, figure, needed, verdict])
  return markdownTable(['', 'measured', 'needed', 'verdict'], lines, 3)
}

/** Sections by their groups. @param {readonly Section[]} sections */
export const groupsOf = (sections) =>
  [...new Set(sections.map(({ group }) => group))].map((title) => ({
    title,
    members: sections.filter(({ group }) => group === title),
  }))

/** All sections, under the headings of their groups. @param {readonly Section[]} sections */
export const sectionsMarkdown = (sections) =>
  groupsOf(sections)
    .map(({ title, members }) => {
      const { shared, own } = splitRun(members)
      const sized = own.filter(({ size }) => size !== undefined)
      const others = own.filter(({ size }) => size === undefined)
      const parts = [...others.map(sectionMarkdown), ...(sized.length === 0 ? [] : [sizesMarkdown(sized)])]
      return `## ${escapeText(title)}\n\n${shared}${parts.join('\n')}`
    })
    .join('\n')

/** When and how a group was measured, if all of it was, is said once. @param {readonly Section[]} members */
function splitRun(members) {
  const [run, ...others] = new Set(members.map((section) => section.run))
  if (run === undefined || others.length > 0) return { shared: '', own: members }
  return {
    shared: `> ${escapeText(run)}\n\n`,
    own: members.map((section) => ({ ...section, run: undefined })),
  }
}

/** What is told of every size, in a table of its own. */
const BY_SIZE = /** @type {const} */ ([
  { key: 'cpu', unit: 'microseconds', title: 'Processor time of the server for each request' },
  { key: 'toBare', unit: 'ratio', title: 'As a multiple of the bare loop' },
  { key: 'toNode', unit: 'ratio', title: 'As a multiple of node:net' },
  { key: 'rate', unit: 'rate', title: 'Requests per second' },
  { key: 'peak', unit: 'bytes', title: 'Peak of resident memory' },
])

/**
 * Sections that differ in their size, as tables with a column for each.
 *
 * @param {readonly Section[]} sections
 */
export function sizesMarkdown(sections) {
  const header = ['', ...sections.map(({ title }) => title)]
  const peers = new Map(sections.flatMap(({ rows }) => rows.map(({ peer, label }) => [peer, label])))
  const tables = BY_SIZE.map(({ key, unit, title }) => {
    const lines = [...peers].map(([peer, label]) => [
      named(peer, label),
      ...sections.map(({ rows }) => format(rows.find((row) => row.peer === peer)?.values[key], unit)),
    ])
    return `### ${title}\n\n${markdownTable(header, lines)}\n`
  })
  const [first] = sections
  const notes = [...new Set(sections.flatMap(toldOf))].map((note) => `\n> ${escapeText(note)}\n`)
  return `${first?.about ?? ''}\n\n${tables.join('\n')}${notes.join('')}`
}
