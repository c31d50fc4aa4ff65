// Runs the Rust tests and the ava tests, and ends with what failed and one line that counts both.

import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'

import { failuresOf } from './failures.mjs'

/**
 * How long ava may print nothing. It gives up by itself after two minutes, but not where a test has asked for more time
 * by `t.timeout`, up to ten minutes: its timer then fires once, is ignored, and is never set again.
 */
const maxSilence = Number(process.env['NETPOLL_TEST_MAX_SILENCE'] ?? 12 * 60_000)

/** How much is kept of what a command says of itself: its end tells why it has failed. */
const mostOfErrors = 10_000

/** Runs a command, shows what it prints, and returns that and its status. */
function run(command, args, watch = () => ({ refresh() {}, close() {} })) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const silence = watch(child)
    let output = ''
    let errors = ''
    child.stdout.on('data', (data) => {
      silence.refresh()
      process.stdout.write(data)
      output += data
    })
    child.stderr.on('data', (data) => {
      process.stderr.write(data)
      errors = (errors + data).slice(-mostOfErrors)
    })
    child.on('exit', () => silence.close())
    child.on('error', reject)
    child.on('close', (status) => resolve({ output, errors, status }))
  })
}

/** Ends the test files that `child` runs when it prints nothing for too long, so that it names them and goes on. */
function endSilent(child) {
  const timer = setTimeout(() => {
    const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    const processes = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
    for (const [pid, parent] of processes) if (parent === child.pid) process.kill(pid, 'SIGKILL')
    timer.refresh()
  }, maxSilence)
  return { refresh: () => timer.refresh(), close: () => clearTimeout(timer) }
}

/** The numbers that `pattern` captures, added up over all of its matches. */
function sum(output, pattern) {
  let total = 0
  for (const [, digits] of output.matchAll(pattern)) total += Number(digits)
  return total
}

const rust = await run('cargo', ['test', '--workspace', '--locked'])
const ava = await run(
  process.execPath,
  [join('node_modules', 'ava', 'entrypoints', 'cli.mjs'), '--tap'],
  endSilent,
)

const passed = sum(rust.output, /^test result: .*? (\d+) passed/gm) + sum(ava.output, /^# pass (\d+)/gm)
const counted = sum(rust.output, /^test result: .*? (\d+) failed/gm) + sum(ava.output, /^# fail (\d+)/gm)
// A run that broke without counting a failure has failed all the same.
const broken = [rust, ava].filter(({ status }) => status !== 0).length
const failed = counted > 0 ? counted : broken

const failures = failuresOf({ name: 'cargo test', ...rust }, { name: 'ava', ...ava })
process.stdout.write(failures.map((line) => `${line}\n`).join(''))
process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
