// The suite with the detector of leaks on, in every process and thread of it. Any report fails the run. One file runs after the
// other, and so do its tests, so that what one has left is old while others run, and what a test needs is not. Each process of
// tests stays for a while after the last one.
//
// On a machine that does much else, what is slow is as old as a leak. So a file with reports runs once more, with four times the
// age: what leaks is told again, and that alone counts. A test that has failed for another reason than a report has failed.
//
//   npm run test:leaks [-- --age 2000 --match '*2 pollers*' .test/connection .test/tls/keys.test.mjs:37-60 …]

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: {
    /** Milliseconds: no test waits for so long for anything that it opens. */
    age: { type: 'string', default: '2000' },
    /** Titles of tests, as ava takes them: the others do not run. */
    match: { type: 'string', multiple: true, default: [] },
  },
  allowPositionals: true,
})

/** How much older something is when a file with reports tells it once more. */
const patience = 4

const preload = new URL('./leaks/linger.mjs', import.meta.url).href
const ava = join('node_modules', 'ava', 'entrypoints', 'cli.mjs')

/** The frames of tests and fixtures, the innermost first. */
const framesOf = ({ stack }) => stack.match(/\.test\/[^)\s]*:\d+/g) ?? []

/** What a leak is called: what it is, and which test has made it, or which program. */
function nameOf(leak) {
  const frames = framesOf(leak)
  const test = frames.find((frame) => frame.includes('.test.mjs')) ?? frames.at(-1)
  return `${test ?? leak.program}: a ${leak.kind} ${leak.what}`
}

/** The first leak of each name, and how many there are. */
function byName(leaks) {
  const names = new Map()
  for (const leak of leaks) {
    const name = nameOf(leak)
    const known = names.get(name) ?? { leak, count: 0 }
    known.count += 1
    names.set(name, known)
  }
  return names
}

function tell(names) {
  for (const [name, { leak, count }] of [...names].sort()) {
    process.stdout.write(`\n${name}, ${count} times\n${[...leak.lines, leak.stack].join('\n')}\n`)
  }
}

/** The files of tests that are a path, or below it. */
function filesAt(path) {
  // Behind a file there may be lines, as ava has them.
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path]
  const below = readdirSync(path, { recursive: true }).map((name) => join(path, name))
  return below.filter((file) => file.endsWith('.test.mjs')).sort()
}

/** Whether a test has failed that was shown no report. Any report fails each test of what a program prints. */
function hasFailed({ status, stdout: tap }, leaks) {
  const failures = tap.split(/^(?=(?:not )?ok |1\.\.)/m).filter((part) => part.startsWith('not ok '))
  // Ava takes it for a failure where no title matches.
  if (failures.length === 0) return status !== 0 && !/^# tests 0\n# pass 0\n# fail 0$/m.test(tap)
  return failures.some((failure) => leaks.length === 0 || !failure.includes('LEAK: '))
}

/** Runs the tests of a file; returns the leaks that are told, and how the tests have ended. */
function run(file, age) {
  const folder = mkdtempSync(join(tmpdir(), 'netpoll-leaks-'))
  const reports = join(folder, 'reports')
  const matches = values.match.map((title) => `--match=${title}`)
  const args = [ava, '--tap', '--serial', '--timeout=10m', ...matches, file]
  const ended = spawnSync(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: {
      ...process.env,
      NETPOLL_LEAK_DETECTION: 'paranoid',
      NETPOLL_LEAK_AGE: String(age),
      NETPOLL_LEAK_FILE: reports,
      NODE_OPTIONS: [process.env.NODE_OPTIONS, `--import=${preload}`].filter(Boolean).join(' '),
    },
  })
  const lines = existsSync(reports) ? readFileSync(reports, 'utf8').split('\n').filter(Boolean) : []
  rmSync(folder, { recursive: true, force: true })
  const leaks = lines.map((line) => JSON.parse(line))
  const told = `${file}: ${leaks.length} leaks told`
  process.stdout.write(`${ended.stdout}\n${told}, the tests ended with ${ended.status}\n`)
  tell(byName(leaks))
  return { leaks, failed: hasFailed(ended, leaks), ran: /^(?:not )?ok /m.test(ended.stdout) }
}

let count = 0
let hasRun = false
const failed = []
for (const file of (positionals.length > 0 ? positionals : ['.test']).flatMap(filesAt)) {
  const runs = [run(file, Number(values.age))]
  // Slow machines make leaks of what is none.
  if (runs[0].leaks.length > 0) runs.push(run(file, patience * Number(values.age)))
  const { leaks } = runs.at(-1)
  count += leaks.length
  hasRun ||= runs[0].ran
  if (leaks.length > 0 || runs.some((each) => each.failed)) failed.push(file)
}
if (!hasRun) failed.push('no test has run')
process.stdout.write(`\n${count} leaks told\n${failed.map((file) => `failed: ${file}\n`).join('')}`)
process.exitCode = failed.length === 0 ? 0 : 1
