// Tests of the long run: its journal, its limits, its table.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { Journal, keyOf, stateOfSources } from './journal.mjs'
import { partsOf } from './parts.mjs'
import { runParts } from './run.mjs'
import { duration, tableOf } from './table.mjs'

/** A folder that is gone after the test. */
function temporary(t) {
  const folder = mkdtempSync(join(tmpdir(), 'netpoll-long-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A part that notes in `file` that it was run, and ends with `status`. */
function noting(file, title, status = 0) {
  const code = `require('node:fs').appendFileSync(${JSON.stringify(file)}, ${JSON.stringify(`${title}\n`)}); process.exit(${status})`
  return { title, node: process.versions.node, command: process.execPath, args: ['-e', code], minutes: 1 }
}

const runsOf = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [])
const silent = () => {}

test('what has passed is not run again on the same state, and all of it on another', async (t) => {
  const folder = temporary(t)
  const runs = join(folder, 'runs')
  const parts = [noting(runs, 'one'), noting(runs, 'two')]
  const options = (state) => ({ journal: new Journal(join(folder, 'journal'), state), folder, write: silent })
  assert.equal(await runParts(parts, options('a')), 0)
  assert.equal(await runParts(parts, options('a')), 0)
  assert.deepEqual(runsOf(runs), ['one', 'two'])
  assert.equal(await runParts(parts, options('b')), 0)
  assert.deepEqual(runsOf(runs), ['one', 'two', 'one', 'two'])
  assert.equal(await runParts(parts, options('a')), 0)
  assert.equal(runsOf(runs).length, 4)
})

test('what has failed is run again, and counts as it ended last', async (t) => {
  const folder = temporary(t)
  const runs = join(folder, 'runs')
  const path = join(folder, 'journal')
  const run = (status) =>
    runParts([noting(runs, 'one', status)], { journal: new Journal(path, 'a'), folder, write: silent })
  assert.equal(await run(1), 1)
  assert.equal(await run(1), 1)
  assert.equal(await run(0), 0)
  assert.equal(await run(1), 0)
  assert.equal(runsOf(runs).length, 3)
})

test('versions and rounds are parts of their own', () => {
  const keys = [
    { title: 'suite' },
    { title: 'suite', node: '24' },
    { title: 'suite', node: '26' },
    { title: 'suite', node: '24', round: 1 },
    { title: 'suite', node: '24', round: 2 },
    { title: 'suite, 24' },
  ].map(keyOf)
  assert.equal(new Set(keys).size, keys.length)
})

test('a journal whose writer was ended in the middle of a line goes on', (t) => {
  const path = join(temporary(t), 'journal')
  const [one, two] = [{ title: 'one' }, { title: 'two' }]
  new Journal(path, 'a').note(one, 'passed', 1)
  appendFileSync(path, '\n{"state":"a","key":"[\\"tw')
  const journal = new Journal(path, 'a')
  assert.equal(journal.hasPassed(one), true)
  assert.equal(journal.hasPassed(two), false)
  journal.note(two, 'passed', 2)
  const again = new Journal(path, 'a')
  assert.deepEqual(
    [one, two].map((part) => again.hasPassed(part)),
    [true, true],
  )
})

test('lines of something else are passed over', (t) => {
  const path = join(temporary(t), 'journal')
  writeFileSync(path, 'null\n5\n[]\n{}\n{"key":1,"state":"a"}\nnonsense\n')
  assert.equal(new Journal(path, 'a').hasPassed({ title: 'one' }), false)
})

test('a run that is ended goes on where it was, and leaves no process', async (t) => {
  const folder = temporary(t)
  const runs = join(folder, 'runs')
  const driver = join(folder, 'driver.mjs')
  const here = (name) => JSON.stringify(new URL(name, import.meta.url).href)
  const hangs = `require('node:fs').appendFileSync(${JSON.stringify(runs)}, 'hangs ' + process.pid + '\\n'); setInterval(() => {}, 1000)`
  writeFileSync(
    driver,
    `import { Journal } from ${here('journal.mjs')}
     import { runParts } from ${here('run.mjs')}
     const journal = new Journal(${JSON.stringify(join(folder, 'journal'))}, 'a')
     const parts = [
       ${JSON.stringify(noting(runs, 'one'))},
       { title: 'two', command: process.execPath, args: ['-e', ${JSON.stringify(hangs)}], minutes: 10 },
     ]
     await runParts(parts, { journal, folder: ${JSON.stringify(folder)}, write: (text) => process.stdout.write(text) })`,
  )
  const child = spawn(process.execPath, [driver], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  child.stdout.resume()
  while (runsOf(runs).length < 2) await new Promise((resolve) => setImmediate(resolve))
  const inner = Number(runsOf(runs)[1].split(' ')[1])
  child.kill('SIGTERM')
  await once(child, 'exit')
  // The group is ended by a signal, which the system delivers in its own time.
  for (;;) {
    try {
      process.kill(inner, 0)
    } catch {
      break
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  const journal = new Journal(join(folder, 'journal'), 'a')
  const parts = [noting(runs, 'one'), { ...noting(runs, 'two'), node: undefined }]
  assert.deepEqual(
    parts.map((part) => journal.hasPassed(part)),
    [true, false],
  )
  assert.equal(await runParts(parts, { journal, folder, write: silent }), 0)
  assert.deepEqual(
    runsOf(runs).filter((line) => !line.startsWith('hangs')),
    ['one', 'two'],
  )
})

test('a part that takes too long is ended with its children, and has failed', async (t) => {
  const folder = temporary(t)
  const journal = new Journal(join(folder, 'journal'), 'a')
  const code = `require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' })`
  const part = { title: 'hangs', command: process.execPath, args: ['-e', code], minutes: 0.5 / 60 }
  assert.equal(await runParts([part], { journal, folder, write: silent }), 1)
})

test('what a failed part has printed is shown, and a command that is not there has failed', async (t) => {
  const folder = temporary(t)
  let written = ''
  const options = {
    journal: new Journal(join(folder, 'journal'), 'a'),
    folder,
    write: (text) => {
      written += text
    },
  }
  const loud = {
    title: 'loud',
    command: process.execPath,
    args: ['-e', `console.log('why'); process.exit(3)`],
    minutes: 1,
  }
  const missing = { title: 'missing', command: join(folder, 'none'), args: [], minutes: 1 }
  assert.equal(await runParts([loud, missing], options), 2)
  assert.match(written, /FAILED after \d+ s: loud\n3, see .*\nwhy\n/)
  assert.match(written, /FAILED after \d+ s: missing\nspawn .* ENOENT/)
  assert.match(written, /\n0 passed, 2 failed\n$/)
})

test('parts of one lane run two at a time', async (t) => {
  const folder = temporary(t)
  // Each of the two waits for the other.
  const meets = (own, other) => {
    const code = `const fs = require('node:fs'); fs.writeFileSync(${JSON.stringify(join(folder, own))}, '')
      const wait = () => fs.existsSync(${JSON.stringify(join(folder, other))}) || setTimeout(wait, 5)
      wait()`
    return { title: own, command: process.execPath, args: ['-e', code], minutes: 1, lane: 'both' }
  }
  const journal = new Journal(join(folder, 'journal'), 'a')
  const parts = [meets('left', 'right'), meets('right', 'left'), noting(join(folder, 'runs'), 'third')]
  assert.equal(await runParts(parts, { journal, folder, write: silent }), 0)
})

test('the table has a row for each part and version, in which rounds add up', () => {
  const entry = (result, seconds) => ({ result, seconds })
  const table = tableOf([
    { part: { title: 'suite', node: '24.1.0' }, entry: entry('passed', 3_725) },
    { part: { title: 'rounds', node: '24.1.0', round: 1 }, entry: entry('passed', 30) },
    { part: { title: 'rounds', node: '24.1.0', round: 2 }, entry: entry('failed', 31) },
    { part: { title: 'loom' }, entry: undefined },
  ])
  assert.equal(
    table,
    `| part   | Node.js | passed | failed | duration |
|--------|---------|-------:|-------:|---------:|
| suite  | 24.1.0  |      1 |      0 | 01:02:05 |
| rounds | 24.1.0  |      1 |      1 | 00:01:01 |
| loom   |         |      0 |      1 | 00:00:00 |`,
  )
  assert.equal(duration(100 * 3_600), '100:00:00')
})

test('the state is the commit, and another one for each change, of known files and of new ones', (t) => {
  const folder = temporary(t)
  const git = (...args) => {
    const settings = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false']
    assert.equal(spawnSync('git', [...settings, ...args], { cwd: folder }).status, 0)
  }
  git('init')
  writeFileSync(join(folder, 'known'), 'a')
  git('add', '.')
  git('commit', '--message', 'first')
  const states = [stateOfSources(folder)]
  assert.match(states[0], /^[0-9a-f]{40}$/)
  for (const [name, content] of [
    ['known', 'b'],
    ['known', 'c'],
    ['new', 'a'],
    ['new', 'b'],
    ['other', 'b'],
  ]) {
    writeFileSync(join(folder, name), content)
    states.push(stateOfSources(folder))
  }
  assert.equal(new Set(states).size, 6)
  assert.equal(stateOfSources(folder), states[5])
  assert.throws(() => stateOfSources(tmpdir()), /git does not know the commit/)
})

test('each part has a key of its own and a limit, and rounds are on Node.js 24', () => {
  const versions = ['20', '22', '24', '26'].map((name) => ({ name, version: `${name}.0.0`, binary: name }))
  const parts = partsOf({ versions, repeats: 50, connects: 10, fuzzSeconds: 1_800 })
  assert.equal(new Set(parts.map(keyOf)).size, parts.length)
  for (const { minutes } of parts) assert.ok(minutes > 0 && minutes <= 600)
  const rounds = parts.filter(({ title }) => title.startsWith('suite, rounds'))
  assert.deepEqual([...new Set(rounds.map(({ node }) => node))], ['24.0.0'])
  assert.deepEqual([rounds.length, rounds.filter(({ busy }) => busy).length], [60, 10])
  for (const { minutes } of parts.filter(({ lane }) => lane === 'fuzzing')) assert.ok(minutes > 30)
})
