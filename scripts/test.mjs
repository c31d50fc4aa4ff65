// Runs the Rust tests and the ava tests, and ends with one line that counts both.

import { spawn } from 'node:child_process'

/** Runs a command, shows what it prints, and returns its output and status. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (data) => {
      process.stdout.write(data)
      output += data
    })
    child.on('error', reject)
    child.on('close', (status) => resolve({ output, status }))
  })
}

/** The numbers that `pattern` captures, added up over all of its matches. */
function sum(output, pattern) {
  let total = 0
  for (const [, digits] of output.matchAll(pattern)) total += Number(digits)
  return total
}

const rust = await run('cargo', ['test', '--workspace', '--locked'])
const ava = await run('npx', ['ava', '--tap'])

const passed = sum(rust.output, /^test result: .*? (\d+) passed/gm) + sum(ava.output, /^# pass (\d+)/gm)
const counted = sum(rust.output, /^test result: .*? (\d+) failed/gm) + sum(ava.output, /^# fail (\d+)/gm)
// A run that broke without counting a failure has failed all the same.
const broken = [rust, ava].filter(({ status }) => status !== 0).length
const failed = counted > 0 ? counted : broken

process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
