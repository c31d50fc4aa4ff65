// The suite with the detector of leaks on, in every process and thread of it. Any report fails the run. The tests of a file run
// one after the other, so that what one has left is old while others run, and what a test needs is not. Each process stays for a
// while after its last test.
//
//   npm run test:leaks [-- --age 2000 '.test/connection/**/*.test.mjs' …]

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: {
    /** Milliseconds: no test waits for so long for anything that it opens. */
    age: { type: 'string', default: '2000' },
  },
  allowPositionals: true,
})

const folder = mkdtempSync(join(tmpdir(), 'netpoll-leaks-'))
const file = join(folder, 'reports')
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

const { status } = spawnSync(process.execPath, [ava, '--tap', '--serial', '--timeout=10m', ...positionals], {
  stdio: ['ignore', 'inherit', 'inherit'],
  env: {
    ...process.env,
    NETPOLL_LEAK_DETECTION: 'paranoid',
    NETPOLL_LEAK_AGE: values.age,
    NETPOLL_LEAK_FILE: file,
    NODE_OPTIONS: [process.env.NODE_OPTIONS, `--import=${preload}`].filter(Boolean).join(' '),
  },
})
const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
rmSync(folder, { recursive: true, force: true })
const leaks = lines.map((line) => JSON.parse(line))
tell(byName(leaks))
process.stdout.write(`\n${leaks.length} leaks told, the tests ended with ${status}\n`)
process.exitCode = status === 0 && leaks.length === 0 ? 0 : 1
