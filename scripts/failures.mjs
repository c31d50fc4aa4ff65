// What the output of a test run says of its failures, short enough for the end of a log.

const mostLines = 60
const mostLinesEach = 20
const widest = 300

/** The failing tests of `cargo test`: what each printed. One that printed nothing has its name alone. */
function* ofCargo(lines) {
  const named = new Map()
  let block
  for (const line of lines) {
    const failed = /^test (.+) \.\.\. FAILED$/.exec(line)
    const printed = /^---- (.+) stdout ----$/.exec(line)
    if (failed) named.set(failed[1], [line])
    if (printed) block = named.get(printed[1]) ?? [line]
    else if (line === 'failures:' || line === 'stack backtrace:') block = undefined
    else if (line !== '') block?.push(line)
  }
  yield* named.values()
}

/** The failing tests of TAP: the line that counts each, and the block below it. */
function* ofTap(lines) {
  let block
  for (const line of lines) {
    if (block !== undefined && /^\S|^ *\.\.\.$/.test(line)) {
      yield block
      block = undefined
    }
    if (/^not ok (?!.*# (SKIP|TODO))/.test(line)) block = [line]
    else block?.push(line)
  }
  if (block !== undefined) yield block
}

const short = (line) => (line.length > widest ? `${line.slice(0, widest)}…` : line)

/** All lines, or those at both ends and how many lie between. TAP says last where a test has failed. */
function atMost(lines, most) {
  if (lines.length <= most) return lines
  const first = lines.slice(0, most - 7)
  return [...first, `    (${lines.length - most + 1} more lines)`, ...lines.slice(-6)]
}

/**
 * What failed in runs of `cargo test` and of ava. A run that broke without a failing test says it by the end of its stderr.
 *
 * @param runs of each: its `status`, and the text of its `output` and its `errors`
 */
export function failuresOf(...runs) {
  const blocks = []
  for (const { name, output, errors, status } of runs) {
    const lines = output.split('\n')
    const found = [...ofCargo(lines), ...ofTap(lines)]
    blocks.push(...found)
    if (status === 0) continue
    const last = errors
      .trimEnd()
      .split('\n')
      .slice(found.length > 0 ? -3 : 1 - mostLinesEach)
    blocks.push([`${name} has ended with status ${status}`, ...last.filter((line) => line !== '')])
  }
  const all = blocks.flatMap((block) => atMost(block, mostLinesEach))
  return atMost(all.map(short), mostLines)
}
