// The table at the end of a long run.

/** Seconds as hours, minutes and seconds. */
export function duration(seconds) {
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60]
  return parts.map((part) => String(part).padStart(2, '0')).join(':')
}

/** A row for each title and version; rounds add up. */
function rowsOf(entries) {
  const rows = new Map()
  for (const { part, entry } of entries) {
    const name = JSON.stringify([part.title, part.node])
    const row = rows.get(name) ?? {
      title: part.title,
      node: part.node ?? '',
      passed: 0,
      failed: 0,
      seconds: 0,
    }
    rows.set(name, row)
    row[entry?.result === 'passed' ? 'passed' : 'failed'] += 1
    row.seconds += entry?.seconds ?? 0
  }
  return [...rows.values()]
}

/** A table of what has become of the parts, as text. */
export function tableOf(entries) {
  const head = ['part', 'Node.js', 'passed', 'failed', 'duration']
  const cells = rowsOf(entries).map(({ title, node, passed, failed, seconds }) => [
    title,
    node,
    String(passed),
    String(failed),
    duration(seconds),
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...cells].map((row) => row[column].length)))
  const line = (row) =>
    `| ${row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(' | ')} |`
  const rule = `|${widths.map((width, column) => (column < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(head), rule, ...cells.map(line)].join('\n')
}
