// What a run was asked to do.

import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

/** @param {Preset} preset @param {readonly string[]} questions Names. */
export const usage = (preset, questions) => `${preset.usage}

  --all              also ask what takes longer
  --only LIST        only these questions (--scenario NAME is the same), of ${questions.join(',')}
  --peers LIST       only these servers and clients; the others are left out. Names: --list
  --rounds N         interleaved rounds (${preset.rounds})
  --seconds N        measured seconds in each round (${preset.seconds})
  --sizes LIST       bytes of the requests of the sweep
  --quick            one short round of each, to see that everything runs
  --node FILE        the Node.js of all servers and clients (the one that runs this)
  --nodes LIST       files of several Node.js, for the question nodes
  --before FOLDER    another build of this package, to measure beside this one
  --out FOLDER       where the results go${preset.out === undefined ? '' : ' (benches/results)'}
  --docs             also update docs/benchmarks.md, its charts, and the chart of the README
  --render FILE      measure nothing: make tables and charts of the results in FILE again
  --list             print questions and peers
  --help             print this`

/**
 * @typedef {{ kind: 'help' } | { kind: 'list' }
 *   | { kind: 'render', file: string, out: string | undefined, docs: boolean }
 *   | { kind: 'measure', options: Options }} Task
 */

/**
 * @param {readonly string[]} words The words of the command line, without the preset.
 * @param {Preset} preset
 * @param {{ questions: readonly string[], peers: readonly string[] }} known All names.
 * @returns {Task}
 */
export function readOptions(words, preset, known) {
  const { values } = parseArgs({
    args: [...words],
    options: {
      all: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      scenario: { type: 'string', multiple: true, default: [] },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      sizes: { type: 'string' },
      quick: { type: 'boolean', default: false },
      node: { type: 'string', default: process.execPath },
      nodes: { type: 'string' },
      before: { type: 'string' },
      out: { type: 'string' },
      docs: { type: 'boolean', default: false },
      render: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { quick, docs, node, before, out = preset.out } = values
  if (values.help) return { kind: 'help' }
  if (values.list) return { kind: 'list' }
  if (values.render !== undefined) return { kind: 'render', file: values.render, out, docs }
  const asked = names([...values.only, ...values.scenario].join(','), known.questions, 'question')
  const usual = values.all ? [...preset.questions, ...preset.more] : preset.questions
  const options = {
    questions: asked.length === 0 ? usual : asked,
    peers: values.peers === undefined ? undefined : names(values.peers, known.peers, 'peer'),
    scope: preset.scope,
    rounds: positive('--rounds', values.rounds ?? (quick ? '1' : String(preset.rounds))),
    seconds: positive('--seconds', values.seconds ?? (quick ? '0.2' : String(preset.seconds))),
    warmUp: quick ? 0.05 : 0.3,
    sizes:
      values.sizes === undefined ? preset.sizes : list(values.sizes).map((size) => positive('--sizes', size)),
    ...{ quick, node, before, out, docs },
    nodes: list(values.nodes ?? '').map((program) => ({ version: versionOf(program), program })),
  }
  return { kind: 'measure', options }
}

/** @param {string} text */
const list = (text) => text.split(',').filter(Boolean)

/** @param {string} text @param {readonly string[]} known @param {string} what */
function names(text, known, what) {
  const asked = list(text)
  const unknown = asked.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`there is no ${what} ${unknown}`)
  return asked
}

/** @param {string} option @param {string} text */
function positive(option, text) {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`${option} must be a number above 0`)
  return value
}

/** @param {string} program */
export function versionOf(program) {
  const { stdout, error } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  const version = /^v(\d\S+)/.exec(stdout ?? '')?.[1]
  if (version === undefined) throw new Error(`${program} is no Node.js`, { cause: error })
  return version
}
