// What `netpoll-bench compare` was asked to do.

import { parseArgs } from 'node:util'

/** @param {readonly string[]} questions Names. */
export const usage = (questions) => `Usage: netpoll-bench compare [options]

Measures this package beside its peers, everything in one go, and writes the results as JSON, as Markdown
tables, and as charts.

  --only LIST        only these questions, of ${questions.join(',')}
  --peers LIST       only these servers and clients; the others are left out. Names: --list
  --rounds N         interleaved rounds (5)
  --seconds N        measured seconds in each round (1)
  --quick            one short round of each, to see that everything runs
  --out FOLDER       where the results go (benches/results)
  --docs             also update docs/benchmarks.md, its charts, and the chart of the README
  --render FILE      measure nothing: make tables and charts of the results in FILE again
  --list             print questions and peers
  --help             print this`

/**
 * @typedef {object} Options
 * @property {readonly string[]} questions Names.
 * @property {readonly string[] | undefined} peers Names; all if there are none.
 * @property {number} rounds
 * @property {number} seconds Measured seconds in each round.
 * @property {number} warmUp Seconds of load before each.
 * @property {boolean} quick
 * @property {string} out
 * @property {boolean} docs
 */

/**
 * @typedef {{ kind: 'help' } | { kind: 'list' } | { kind: 'render', file: string, out: string, docs: boolean }
 *   | { kind: 'measure', options: Options }} Task
 */

/**
 * @param {readonly string[]} words The words of the command line, without `compare`.
 * @param {{ questions: readonly string[], peers: readonly string[], out: string }} known All names, and where
 *   results go by default.
 * @returns {Task}
 */
export function readOptions(words, known) {
  const { values } = parseArgs({
    args: [...words],
    options: {
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      out: { type: 'string', default: known.out },
      docs: { type: 'boolean', default: false },
      render: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { quick, out, docs } = values
  if (values.help) return { kind: 'help' }
  if (values.list) return { kind: 'list' }
  if (values.render !== undefined) return { kind: 'render', file: values.render, out, docs }
  const options = {
    questions: values.only === undefined ? known.questions : names(values.only, known.questions, 'question'),
    peers: values.peers === undefined ? undefined : names(values.peers, known.peers, 'peer'),
    rounds: positive('--rounds', values.rounds ?? (quick ? '1' : '5')),
    seconds: positive('--seconds', values.seconds ?? (quick ? '0.2' : '1')),
    warmUp: quick ? 0.05 : 0.3,
    quick,
    out,
    docs,
  }
  return { kind: 'measure', options }
}

/**
 * @param {string} list
 * @param {readonly string[]} known
 * @param {string} what
 */
function names(list, known, what) {
  const asked = list.split(',')
  const unknown = asked.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`there is no ${what} ${unknown}`)
  return asked
}

/**
 * @param {string} option
 * @param {string} text
 */
function positive(option, text) {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`${option} must be a number above 0`)
  return value
}
