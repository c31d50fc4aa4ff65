// Measures netpoll beside `node:net` and a bare loop: `npm run bench`.
// benches/README.md describes the method.

import { writeFile } from 'node:fs/promises'

import { problems } from './runner/bench.mjs'
import { Fleet } from './runner/fleet.mjs'
import { measureHalfLoad, printHalfLoad } from './runner/half-load.mjs'
import { measureIdle, printIdle } from './runner/idle.mjs'
import { describeMachine, NoiseCheck } from './runner/machine.mjs'
import { measureMemory, printMemory } from './runner/memory.mjs'
import { readOptions, USAGE } from './runner/options.mjs'
import { checkBuilt } from './runner/peers.mjs'
import { print } from './runner/progress.mjs'
import { SCENARIOS, TCP_100 } from './runner/scenarios.mjs'
import { measureThroughput, printThroughput } from './runner/throughput.mjs'
import { measureTransfer, printTransfer } from './runner/transfer.mjs'

/**
 * Measures one thing. What goes wrong is a problem, and the others are measured
 * all the same.
 *
 * @template Result
 * @param {string} name
 * @param {() => Promise<Result>} measure
 * @param {(result: Result) => void} show
 * @returns {Promise<Result | undefined>}
 */
async function attempt(name, measure, show) {
  try {
    const result = await measure()
    show(result)
    return result
  } catch (error) {
    problems.push(`${name}: ${error instanceof Error ? error.message : error}`)
    return undefined
  }
}

/** @param {import('./runner/options.mjs').Options} options */
async function measureThroughputs(options) {
  const fleet = new Fleet()
  /** @type {import('./runner/throughput.mjs').Result[]} */
  const throughput = []
  for (const scenario of SCENARIOS) {
    if (!options.experiments.includes(scenario.experiment)) continue
    const measure = () => measureThroughput(scenario, options, fleet)
    const result = await attempt(scenario.name, measure, printThroughput)
    if (result !== undefined) throughput.push(result)
  }
  if (!options.experiments.includes('half-load')) return { fleet, throughput }
  const measureHalf = async () => {
    const known = throughput.find(({ name }) => name === TCP_100.name)
    const full = known ?? (await measureThroughput(TCP_100, options, fleet))
    return measureHalfLoad(full, options, fleet)
  }
  return { fleet, throughput, halfLoad: await attempt('half-load', measureHalf, printHalfLoad) }
}

/** @param {import('./runner/options.mjs').Options} options */
async function measure(options) {
  const { fleet, ...results } = await measureThroughputs(options)
  await fleet.stop()
  /** @type {<Result>(name: string, measure: () => Promise<Result>, show: (result: Result) => void) => Promise<Result | undefined>} */
  const asked = async (name, measure, show) =>
    options.experiments.includes(name) ? attempt(name, measure, show) : undefined
  return {
    ...results,
    transfer: await asked('transfer', () => measureTransfer(options), printTransfer),
    idle: await asked('idle', () => measureIdle(options), printIdle),
    memory: await asked('memory', () => measureMemory(options), printMemory),
  }
}

/** @param {import('./runner/options.mjs').Options} options */
async function main(options) {
  checkBuilt(options.servers)
  const machine = describeMachine()
  const noise = new NoiseCheck()
  print(machine)
  const warnings = [await noise.before()]
  const results = await measure(options)
  warnings.push(noise.after())
  const told = warnings.filter((warning) => warning !== undefined)
  print('')
  for (const warning of told) print(`warning: ${warning}`)
  for (const problem of problems) print(`error: ${problem}`)
  if (options.json !== undefined) {
    const all = { machine, options, warnings: told, problems, ...results }
    await writeFile(options.json, `${JSON.stringify(all, null, 2)}\n`)
  }
  return problems.length === 0 ? 0 : 1
}

try {
  const options = readOptions(process.argv.slice(2))
  if (options === undefined) console.log(USAGE)
  // Ends servers that an error left running, too: the exit hooks see to it.
  process.exit(options === undefined ? 0 : await main(options))
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`)
  process.exit(1)
}
