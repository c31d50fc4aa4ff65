// Measures netpoll beside `node:net` and a bare loop: `npm run bench`.
// benches/README.md describes the method.

import { writeFile } from 'node:fs/promises'

import { problems } from './runner/bench.mjs'
import { Fleet } from './runner/fleet.mjs'
import { measureHalfLoad, printHalfLoad } from './runner/half-load.mjs'
import { measureIdle, printIdle } from './runner/idle.mjs'
import { NoiseCheck, describeMachine } from './runner/machine.mjs'
import { measureMemory, printMemory } from './runner/memory.mjs'
import { USAGE, readOptions } from './runner/options.mjs'
import { checkBuilt } from './runner/peers.mjs'
import { print } from './runner/progress.mjs'
import { SCENARIOS, TCP_100 } from './runner/scenarios.mjs'
import { measureThroughput, printThroughput } from './runner/throughput.mjs'

/** @param {import('./runner/options.mjs').Options} options */
async function measure(options) {
  const fleet = new Fleet()
  /** @type {import('./runner/throughput.mjs').Result[]} */
  const throughput = []
  for (const scenario of SCENARIOS) {
    if (!options.experiments.includes(scenario.name)) continue
    const result = await measureThroughput(scenario, options, fleet)
    printThroughput(result)
    throughput.push(result)
  }
  /** @type {Record<string, readonly object[]>} */
  const results = { throughput }
  if (options.experiments.includes('half-load')) {
    const full =
      throughput.find(({ name }) => name === TCP_100.name) ??
      (await measureThroughput(TCP_100, options, fleet))
    const halfLoad = await measureHalfLoad(full, options, fleet)
    printHalfLoad(halfLoad)
    results.halfLoad = halfLoad
  }
  await fleet.stop()
  if (options.experiments.includes('idle')) {
    const idle = await measureIdle(options)
    printIdle(idle)
    results.idle = idle
  }
  if (options.experiments.includes('memory')) {
    const memory = await measureMemory(options)
    printMemory(memory)
    results.memory = memory
  }
  return results
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
