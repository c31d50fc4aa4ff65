// User-space instructions of a message's way through the core, counted by callgrind: the same on a busy
// machine as on a quiet one.

import { spawnSync } from 'node:child_process'

import { fromRoot } from '../runner/paths.mjs'
import { median, spread } from '../runner/statistics.mjs'

const PROGRAM = fromRoot('target/release/examples/hot_path')
const SHAPES = /** @type {const} */ (['burst', 'spread'])
/** Messages of each turn: crates/core/examples/hot_path.rs. */
const MESSAGES = 32
/** The difference of the two leaves out how the program starts and ends. */
const TURNS = /** @type {const} */ ([200, 600])
const REPEATS = 3

/** Why nothing can be counted here, if so. */
export function whyNotCounted() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return 'what is expected was counted on Linux x64'
  return spawnSync('valgrind', ['--version']).error === undefined ? undefined : 'valgrind is not installed'
}

/** Builds the program and counts. @returns {readonly import('./verdicts.mjs').Measured[]} */
export function countInstructions() {
  run('cargo', ['build', '--release', '--locked', '--package', 'netpoll-core', '--example', 'hot_path'])
  return SHAPES.map((shape) => {
    const counts = Array.from({ length: REPEATS }, () => instructionsPerMessage(shape))
    return { name: shape, value: median(counts), spread: spread(counts) }
  })
}

/** @param {string} shape */
function instructionsPerMessage(shape) {
  const [few, many] = TURNS
  return (collected(shape, many) - collected(shape, few)) / ((many - few) * MESSAGES)
}

/** @param {string} shape @param {number} turns */
function collected(shape, turns) {
  const words = ['--tool=callgrind', '--callgrind-out-file=/dev/null', PROGRAM, shape, String(turns)]
  const count = collectedIn(run('valgrind', words))
  if (count === undefined) throw new Error('callgrind did not say how many instructions it counted')
  return count
}

/** @param {string} output What callgrind prints at its end. */
export function collectedIn(output) {
  const count = /Collected : (\d+)/.exec(output)?.[1]
  return count === undefined ? undefined : Number(count)
}

/** @param {string} command @param {readonly string[]} words */
function run(command, words) {
  const { status, stderr, error } = spawnSync(command, words, { cwd: fromRoot(''), encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} failed:\n${stderr}`)
  return stderr
}
