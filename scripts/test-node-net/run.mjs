// Runs the tests that Node.js has for `net`, as they are, over netpoll: `toDuplex()` and `DialedSocket` are to be what a
// `net.Socket` is. What fails over netpoll is run over `node:net`, too, to tell what this machine lacks.
//
//   npm run test:node-net [-- --tests FOLDER] [--node BINARY] [--only PATTERN]
//
// The tests are Node's own, under its licence, and are no part of this repository: see tests.mjs.

import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { excluded, explained, fetchTests } from './tests.mjs'

const shim = join(import.meta.dirname, 'shim.cjs')
/** Milliseconds that only a test which hangs takes. */
const patience = 60_000

/** Flags that a test asks for at its head. */
function flagsOf(path) {
  const line = /^\/\/ Flags: (.*)$/m.exec(readFileSync(path, 'utf8'))
  return line === null ? [] : line[1].split(/\s+/)
}

/** Runs a program; resolves to how it has ended, and what it printed. */
function run(binary, args, cwd) {
  return new Promise((done, fail) => {
    const child = spawn(binary, args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: patience,
      killSignal: 'SIGKILL',
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
      })
    }
    child.on('error', fail)
    child.on('close', (status, signal) => done({ end: signal ?? status, output }))
  })
}

/**
 * Runs one test over netpoll.
 *
 * @returns `'passed'`, `'failed'`, or `'not here'` for one that fails over `node:net`, too
 */
async function judge(binary, folder, name) {
  const path = join(folder, 'parallel', name)
  const flags = flagsOf(path)
  const ours = await run(binary, [...flags, '--require', shim, path], folder)
  if (ours.end === 0) return { name, result: 'passed', output: '' }
  const nodes = await run(binary, [...flags, path], folder)
  return { name, result: nodes.end === 0 ? 'failed' : 'not here', output: `${ours.end}\n${ours.output}` }
}

const { values } = parseArgs({
  options: {
    tests: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    only: { type: 'string' },
  },
})

async function main() {
  const folder = values.tests === undefined ? fetchTests(join('.long', 'node-tests')) : resolve(values.tests)
  if (folder === undefined || !existsSync(join(folder, 'parallel'))) {
    process.stdout.write('the tests of Node.js: skipped, they could not be fetched\n0 passed, 0 failed\n')
    return
  }
  const all = readdirSync(join(folder, 'parallel')).filter((name) => name.startsWith('test-net-'))
  const names = all.filter((name) => !excluded.has(name) && name.includes(values.only ?? ''))
  const counts = { passed: 0, failed: 0, 'not here': 0, explained: 0 }
  for (const name of names) {
    const { result, output } = await judge(resolve(values.node), folder, name)
    const why = explained.get(name)
    const told = result === 'failed' && why !== undefined ? 'explained' : result
    counts[told] += 1
    if (told === 'passed' && why !== undefined)
      process.stdout.write(`passes, though it is explained: ${name}\n`)
    if (told === 'explained') process.stdout.write(`differs: ${name}: ${why}\n`)
    if (told === 'not here') process.stdout.write(`fails over node:net, too: ${name}\n`)
    if (told === 'failed')
      process.stdout.write(`FAILED: ${name}: ${output.split('\n').slice(0, 40).join('\n')}\n`)
  }
  process.stdout.write(
    `${names.length} tests of Node.js, ${counts.explained} differ as explained, ${counts['not here']} fail over node:net, too\n`,
  )
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`)
  process.exitCode = counts.failed > 0 ? 1 : 0
}

await main()
