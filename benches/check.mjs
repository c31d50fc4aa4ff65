// The regression guard: `npm run bench:check`. It compares this checkout with what
// benches/check/expectations.json says, and exits with 1 where it has become worse.

import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'

import { countInstructions, whyNotCounted } from './check/instructions.mjs'
import { measureRatios } from './check/ratios.mjs'
import { exitCodeOf, judge } from './check/verdicts.mjs'
import { problems } from './runner/bench.mjs'
import { describeMachine } from './runner/machine.mjs'
import { fromRoot } from './runner/paths.mjs'
import { print } from './runner/progress.mjs'
import { table } from './report/text.mjs'

const USAGE = `Usage: npm run bench:check -- [options]

  --only PART    only \`instructions\` or \`ratios\`
  --rounds N     interleaved rounds of the ratios (7)
  --quick        one short round of the ratios, to see that everything runs
  --update       expect from now on what was measured
  --help         print this`

const EXPECTATIONS = fromRoot('benches/check/expectations.json')
/** How much worse a new figure may get: callgrind repeats itself, throughput does not. */
const TOLERANCES = { instructions: 0.03, ratios: 0.15 }

/** @typedef {'instructions' | 'ratios'} Part */
/** @typedef {import('./check/verdicts.mjs').Measured} Measured */
/** @typedef {import('./check/verdicts.mjs').Expectation} Expectation */
/** @typedef {Record<Part, Record<string, Expectation>>} Expectations */

/** @param {Part} part @param {readonly Measured[]} measured @param {Expectations} expectations */
function report(part, measured, expectations) {
  const better = part === 'ratios' ? 'more' : 'less'
  const verdicts = measured.map((figure) => judge(figure, expectations[part][figure.name], better))
  const digits = part === 'ratios' ? 2 : 1
  const rows = measured.map(({ name, value, spread }, index) => [
    name,
    value.toFixed(digits),
    `${(spread * 100).toFixed(2)} %`,
    expectations[part][name]?.value.toFixed(digits) ?? '',
    verdicts[index] ?? '',
  ])
  const title = part === 'ratios' ? 'Throughput ÷ bare loop' : 'Instructions for each message in the core'
  print(`\n${title}\n${table(['', 'measured', 'spread', 'expected', ''], rows)}`)
  return verdicts
}

/** @param {Part} part @param {readonly Measured[]} measured @param {Expectations} expectations */
function update(part, measured, expectations) {
  for (const { name, value } of measured) {
    const tolerance = expectations[part][name]?.tolerance ?? TOLERANCES[part]
    expectations[part][name] = { value: Number(value.toPrecision(4)), tolerance }
  }
}

/** @param {Part} part @param {{ rounds: number, quick: boolean }} options */
async function measure(part, { rounds, quick }) {
  if (part === 'ratios') return measureRatios({ rounds, quick, seconds: quick ? 0.2 : 1 })
  const reason = whyNotCounted()
  if (reason === undefined) return countInstructions()
  print(`instructions are not counted: ${reason}`)
  return []
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function main() {
  const { quick } = values
  const rounds = Number(values.rounds ?? (quick ? 1 : 7))
  const expectations = /** @type {Expectations} */ (JSON.parse(await readFile(EXPECTATIONS, 'utf8')))
  print(describeMachine())
  /** @type {import('./check/verdicts.mjs').Verdict[]} */
  const verdicts = []
  for (const part of /** @type {const} */ (['instructions', 'ratios'])) {
    if (values.only !== undefined && values.only !== part) continue
    const measured = await measure(part, { rounds, quick })
    verdicts.push(...report(part, measured, expectations))
    if (values.update) update(part, measured, expectations)
  }
  if (values.update) await writeFile(EXPECTATIONS, `${JSON.stringify(expectations, null, 2)}\n`)
  for (const problem of problems) print(`error: ${problem}`)
  return problems.length > 0 ? 1 : exitCodeOf(verdicts)
}

if (values.help) console.log(USAGE)
// Ends servers that an error left running, too: the exit hooks see to it.
else process.exit(await main())
