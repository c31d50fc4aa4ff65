#!/usr/bin/env node
// `npx netpoll-bench` measures netpoll beside others on this machine, shortly; `compare` measures at length, `sweep`
// what goals are about, and `rpc` Thrift and Redis. With another command, such as `client` or `server`, it is the
// program netpoll-bench: a load client and reference servers.

import { spawnSync } from 'node:child_process'

import { findProgram } from './runner/program.mjs'

/** @param {readonly string[]} words */
function runProgram(words) {
  const { status, error } = spawnSync(findProgram(), words, { stdio: 'inherit' })
  if (error !== undefined) throw error
  return status ?? 1
}

/** @param {readonly string[]} words */
async function main(words) {
  const [first = '', ...rest] = words
  const isPreset = /^(compare|sweep|rpc)$/.test(first)
  if (!isPreset && first !== '' && !first.startsWith('-')) return runProgram(words)
  const [{ run }, { PRESETS }] = await Promise.all([
    import('./questions/main.mjs'),
    import('./questions/presets.mjs'),
  ])
  return isPreset
    ? run(PRESETS[/** @type {'compare' | 'sweep' | 'rpc'} */ (first)], rest)
    : run(PRESETS.short, words)
}

try {
  // Ends servers that an error left running, too: the exit hooks see to it.
  process.exit(await main(process.argv.slice(2)))
} catch (error) {
  console.error(`netpoll-bench: ${error instanceof Error ? error.message : error}`)
  process.exit(1)
}
