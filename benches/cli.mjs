#!/usr/bin/env node
// `npx netpoll-bench` measures netpoll beside others on this machine, shortly, and `npx netpoll-bench compare` at
// length. With another command, such as `client` or `server`, it is the program netpoll-bench: a load client and
// reference servers.

import { spawnSync } from 'node:child_process'

import { findProgram } from './runner/program.mjs'

/** @param {readonly string[]} words */
function runProgram(words) {
  const { status, error } = spawnSync(findProgram(), words, { stdio: 'inherit' })
  if (error !== undefined) throw error
  return status ?? 1
}

/** @param {readonly string[]} words */
async function compareAll(words) {
  const { compare } = await import('./questions/main.mjs')
  // Ends servers that an error left running, too: the exit hooks see to it.
  process.exit(await compare(words))
}

const words = process.argv.slice(2)
const [first = '-', ...rest] = words
try {
  if (first.startsWith('-')) await import('./run.mjs')
  else if (first === 'compare') await compareAll(rest)
  else process.exitCode = runProgram(words)
} catch (error) {
  console.error(`netpoll-bench: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
}
