// What the runner was asked to do.

import { parseArgs } from 'node:util'

import { FAMILIES } from './peers.mjs'
import { EXPERIMENTS } from './scenarios.mjs'

export const USAGE = `Usage: npm run bench -- [options]

  --all              measure everything, not only the three main scenarios (about 13 minutes)
  --scenario NAME    only this one (may be repeated): ${EXPERIMENTS.map(({ name }) => name).join(', ')}
  --servers LIST     which servers, of ${FAMILIES.join(',')}
  --rounds N         interleaved rounds (5)
  --seconds N        measured seconds in each round (1)
  --quick            one short round each, to see that everything runs
  --json FILE        also write all figures to FILE
  --help             print this`

/**
 * @typedef {object} Options
 * @property {readonly string[]} experiments Names of what to measure.
 * @property {readonly import('./peers.mjs').MainFamily[]} servers
 * @property {number} rounds
 * @property {number} seconds Measured seconds in each round.
 * @property {number} warmUp Seconds of load before each.
 * @property {boolean} quick
 * @property {string | undefined} json
 */

/**
 * @param {readonly string[]} words The words of the command line.
 * @returns {Options | undefined} Nothing if help was asked for.
 */
export function readOptions(words) {
  const { values } = parseArgs({
    args: [...words],
    options: {
      all: { type: 'boolean', default: false },
      scenario: { type: 'string', multiple: true },
      servers: { type: 'string', default: FAMILIES.join(',') },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const quick = values.quick
  return {
    experiments: selectExperiments(values.scenario, values.all),
    servers: selectServers(values.servers),
    rounds: positive('--rounds', values.rounds ?? (quick ? '1' : '5')),
    seconds: positive('--seconds', values.seconds ?? (quick ? '0.2' : '1')),
    warmUp: quick ? 0.05 : 0.3,
    quick,
    json: values.json,
  }
}

/**
 * @param {readonly string[] | undefined} names
 * @param {boolean} all
 */
function selectExperiments(names, all) {
  for (const name of names ?? []) {
    if (!EXPERIMENTS.some((experiment) => experiment.name === name)) {
      throw new Error(`there is no scenario ${name}`)
    }
  }
  return EXPERIMENTS.filter(({ name, main }) => names?.includes(name) ?? (all || main)).map(
    ({ name }) => name,
  )
}

/** @param {string} list */
function selectServers(list) {
  return list.split(',').map((name) => {
    const family = FAMILIES.find((family) => family === name)
    if (family === undefined) throw new Error(`there is no server ${name}`)
    return family
  })
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
