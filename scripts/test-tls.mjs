// The suite once more, with TLS under every connection of this package that a test makes, and under the `node:net` peers of
// the tests. Each byte that the add-on sends or receives is watched: what is no record of TLS fails the run.
//
//   npm run test:tls [-- --keep FOLDER] [-- '.test/connection/**/*.test.mjs' …]
//
// With `--keep` the suite runs piece by piece: what a run has found stays in that folder until the same files run again, and
// `--total` runs nothing, but judges all that is there.
//
// Needs Linux with glibc, and a C compiler. Elsewhere it says so, and nothing has failed.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values, positionals: globs } = parseArgs({
  options: { keep: { type: 'string' }, total: { type: 'boolean', default: false } },
  allowPositionals: true,
})
/** Those have TLS of their own, or make no connection that a test could encrypt. */
const others = ['!.test/tls/**', '!.test/benches/**', '!.test/native/binding.test.mjs']
const ava = join('node_modules', 'ava', 'entrypoints', 'cli.mjs')
const preload = resolve('.test', 'support', 'over-tls', 'preload.mjs')
const excluded = resolve('.test', 'support', 'over-tls', 'excluded.mjs')
/** More than so much of the tests that open a connection may not be left out. */
const mostExcluded = 0.05

const temporary = mkdtempSync(join(tmpdir(), 'netpoll-tls-'))
const library = join(temporary, 'wire.so')
/** A folder of facts for each run. */
const kept = values.keep ?? join(temporary, 'kept')

/** Why it cannot be done here; undefined where it can. */
function obstacle() {
  const { glibcVersionRuntime } = process.report.getReport().header
  if (process.platform !== 'linux' || glibcVersionRuntime === undefined)
    return 'only Linux with glibc can watch'
  const source = join('__test__', 'fixtures', 'native', 'tls-wire.c')
  const { status } = spawnSync('cc', ['-O1', '-shared', '-fPIC', '-o', library, source, '-ldl'])
  return status === 0 ? undefined : 'there is no C compiler'
}

const environment = (facts, flags) => ({
  ...process.env,
  LD_PRELOAD: [process.env.LD_PRELOAD, library].filter(Boolean).join(':'),
  NETPOLL_TEST_TLS: facts,
  NODE_OPTIONS: [process.env.NODE_OPTIONS, ...flags].filter(Boolean).join(' '),
})

/** The lines of the files in `facts` whose names begin so. */
const linesOf = (facts, name) =>
  readdirSync(facts)
    .filter((file) => file.startsWith(name))
    .flatMap((file) => readFileSync(join(facts, file), 'utf8').split('\n'))
    .filter((line) => line !== '')

/** Makes sure that plain text would be seen: without the helpers a test of the suite sends nothing else. */
function checkWatch() {
  const facts = join(temporary, 'plain')
  mkdirSync(facts)
  const words = [ava, '.test/connection/connection.test.mjs']
  spawnSync(process.execPath, words, { env: environment(facts, []), stdio: 'ignore' })
  return linesOf(facts, 'wire-').some((line) => line.startsWith('plain'))
}

/** Runs the tests. Each notes its own outcome; what ava says is shown, and says where an error came from that is no test's. */
function run() {
  const files = globs.length > 0 ? globs : ['.test/**/*.test.mjs']
  const name = createHash('sha256').update(files.join(' ')).digest('hex').slice(0, 16)
  const facts = resolve(kept, name)
  rmSync(facts, { recursive: true, force: true })
  mkdirSync(facts, { recursive: true })
  // Until it has ended: a run that is killed has not passed.
  const broken = join(facts, 'broken-run')
  writeFileSync(broken, `${files.join(' ')} did not end\n`)
  const env = { ...environment(facts, [`--import=${pathToFileURL(preload)}`]), NO_COLOR: '1' }
  const words = [ava, '--timeout=10m', ...files, ...others]
  const stdio = ['ignore', 'pipe', 'inherit']
  const ran = spawnSync(process.execPath, words, { env, encoding: 'utf8', maxBuffer: 2 ** 28, stdio })
  process.stdout.write(ran.stdout.replaceAll(/^ *✔ .*\n/gm, ''))
  const hasFailed = linesOf(facts, 'facts-').some((line) => JSON.parse(line).fact === 'failed')
  if (ran.status !== 0 && !hasFailed)
    writeFileSync(broken, `${files.join(' ')} ended with ${ran.status ?? ran.signal}\n`)
  else rmSync(broken)
}

/** What was noted of each test, by its file and title. */
function testsOf(lines) {
  const tests = new Map()
  for (const line of lines) {
    const { fact, test } = JSON.parse(line)
    if (test) tests.set(test, (tests.get(test) ?? new Set()).add(fact))
  }
  return tests
}

/** Tests with TLS, excluded ones, and how the others ended. */
function countOf(tests) {
  const have = (...facts) => tests.filter((noted) => facts.some((fact) => noted.has(fact)))
  const failed = have('failed').length
  const excluded = have('excluded').length
  return { encrypted: have('encrypted').length, excluded, passed: have('passed').length - excluded, failed }
}

const folderOf = (test) => test.split('/', 1)[0]

const row = (name, { encrypted, excluded, passed, failed }) =>
  `${name.padEnd(14)}${[encrypted, excluded, passed, failed].map((count) => `${count}`.padStart(10)).join('')}\n`

/** What the exclusions look for that no test has, where `lines` note all tests. */
async function unmatched(lines) {
  const { patterns } = await import(pathToFileURL(excluded).href)
  const found = new Set(lines.map((line) => JSON.parse(line).by))
  return patterns.filter((pattern) => !found.has(pattern))
}

async function judge(isWhole) {
  const runs = readdirSync(kept).map((name) => join(kept, name))
  const collect = (name) => runs.flatMap((facts) => linesOf(facts, name))
  const facts = collect('facts-')
  const tests = testsOf(facts)
  const total = countOf([...tests.values()])
  const share = total.excluded / Math.max(1, total.encrypted + total.excluded)
  const wire = collect('wire-')
  const seen = new Set(wire.filter((line) => line.startsWith('plain')))
  const plain = [...tests].filter(([, noted]) => noted.has('plain') && !noted.has('excluded'))
  const faults = collect('broken-')
  if (seen.size > 0) faults.push(`plain text was on the wire:\n${[...seen].slice(0, 20).join('\n')}`)
  if (plain.length > 0)
    faults.push(`tests with a connection that was not encrypted:\n${plain.map(([test]) => test).join('\n')}`)
  if (total.encrypted === 0) faults.push('no test has negotiated TLS')
  if (isWhole && share > mostExcluded) faults.push('too many tests are excluded')
  const idle = isWhole ? await unmatched(facts) : []
  if (idle.length > 0) faults.push(`exclusions that no test is left out by:\n${idle.join('\n')}`)
  for (const [test, noted] of tests) if (noted.has('failed')) process.stdout.write(`failed: ${test}\n`)
  for (const fault of faults) process.stdout.write(`${fault}\n`)
  process.stdout.write(`\n${'folder'.padEnd(14)}  with TLS  excluded    passed    failed\n`)
  const folders = new Set([...tests.keys()].map(folderOf))
  for (const folder of [...folders].sort()) {
    const own = [...tests].filter(([test]) => folderOf(test) === folder)
    process.stdout.write(row(folder, countOf(own.map(([, noted]) => noted))))
  }
  process.stdout.write(row('all', total))
  process.stdout.write(
    `\n${total.encrypted} tests negotiated TLS, ${total.excluded} are excluded ` +
      `(${(100 * share).toFixed(1)} % of those with connections), ` +
      `${wire.filter((line) => line === 'traffic').length} processes were watched\n`,
  )
  const broken = total.failed + faults.length
  process.stdout.write(`${total.passed} passed, ${broken} failed\n`)
  return broken === 0
}

try {
  const reason = values.total ? undefined : obstacle()
  if (reason !== undefined) {
    process.stdout.write(`tests with TLS: skipped, ${reason}\n0 passed, 0 failed\n`)
  } else if (!values.total && !checkWatch()) {
    process.stdout.write('plain text would not be seen\n0 passed, 1 failed\n')
    process.exitCode = 1
  } else {
    if (!values.total) run()
    const isWhole = values.total || (globs.length === 0 && values.keep === undefined)
    if (!(await judge(isWhole))) process.exitCode = 1
  }
} finally {
  rmSync(temporary, { recursive: true, force: true })
}
