// Results on the terminal.

import { table } from '../runner/table.mjs'
import { format } from './format.mjs'

/** @param {Section} section */
export function sectionText({ group, title, columns, rows, warnings }) {
  const header = ['', ...columns.map(({ label }) => label), 'spread', '']
  const lines = rows.map(({ label, values, spread, remark }) => [
    label,
    ...columns.map(({ key, unit }) => format(values[key], unit)),
    format(spread, 'share'),
    remark,
  ])
  const told = warnings.map((warning) => `  warning: ${warning}\n`).join('')
  return `\n${group} · ${title}\n${table(header, lines)}\n${told}`
}

/** @param {readonly Claim[]} claims */
export function claimsText(claims) {
  const lines = claims.map(({ text, figure, needed, verdict }) => [text, figure, needed, verdict])
  return `\nGoals and verdicts\n${table(['', 'measured', 'needed', ''], lines)}`
}
