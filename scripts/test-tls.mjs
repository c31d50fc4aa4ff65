// The suite once more, with TLS under every connection of this package that a test makes, and under the `node:net` peers of
// the tests. Each byte that the add-on sends or receives is watched: what is no record of TLS fails the run.
//
//   npm run test:tls [-- '.test/connection/**/*.test.mjs' …]
//
// Needs Linux with glibc, and a C compiler. Elsewhere it says so, and nothing has failed.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [, , ...globs] = process.argv
/** Those have TLS of their own, or make no connection that a test could encrypt. */
const others = ['!.test/tls/**', '!.test/benches/**']
const ava = join('node_modules', 'ava', 'entrypoints', 'cli.mjs')
const preload = resolve('.test', 'support', 'over-tls', 'preload.mjs')
/** More than so much of the tests that open a connection may not be left out. */
const mostExcluded = 0.05

const folder = mkdtempSync(join(tmpdir(), 'netpoll-tls-'))
const library = join(folder, 'wire.so')

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
  const facts = join(folder, 'plain')
  mkdirSync(facts)
  const words = [ava, '--tap', '.test/connection/connection.test.mjs']
  spawnSync(process.execPath, words, { env: environment(facts, []), stdio: 'ignore' })
  return linesOf(facts, 'wire-').some((line) => line.startsWith('plain'))
}

function run() {
  const facts = join(folder, 'facts')
  mkdirSync(facts)
  const files = globs.length > 0 ? globs : ['.test/**/*.test.mjs']
  const env = environment(facts, [`--import=${pathToFileURL(preload)}`])
  const words = [ava, '--tap', '--timeout=10m', ...files, ...others]
  const { status, stdout } = spawnSync(process.execPath, words, {
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.stdout.write(stdout.replaceAll(/^ok .*\n/gm, ''))
  const number = (pattern) => Number(pattern.exec(stdout)?.[1] ?? 0)
  return { facts, status, passed: number(/^# pass (\d+)/m), failed: number(/^# fail (\d+)/m) }
}

/** The tests of which a fact was noted. */
function testsOf(lines) {
  const tests = { encrypted: new Set(), plain: new Set(), excluded: new Set() }
  for (const line of lines) {
    const { fact, test } = JSON.parse(line)
    if (test) tests[fact].add(test)
  }
  return tests
}

function judge({ facts, status, passed, failed }) {
  const { encrypted, plain, excluded } = testsOf(linesOf(facts, 'facts-'))
  const seen = linesOf(facts, 'wire-').filter((line) => line.startsWith('plain'))
  const processes = linesOf(facts, 'wire-').filter((line) => line === 'traffic').length
  const share = excluded.size / Math.max(1, encrypted.size + excluded.size)
  const faults = []
  if (seen.length > 0)
    faults.push(`plain text was on the wire:\n${[...new Set(seen)].slice(0, 20).join('\n')}`)
  if (plain.size > 0) faults.push(`tests with a connection that was not encrypted:\n${[...plain].join('\n')}`)
  if (encrypted.size === 0) faults.push('no test has negotiated TLS')
  if (globs.length === 0 && share > mostExcluded) faults.push('too many tests are excluded')
  for (const fault of faults) process.stdout.write(`${fault}\n`)
  process.stdout.write(
    `\n${encrypted.size} tests negotiated TLS, ${excluded.size} are excluded ` +
      `(${(100 * share).toFixed(1)} % of those with connections), ${processes} processes were watched\n`,
  )
  const broken = failed > 0 ? failed : Number(status !== 0 || faults.length > 0)
  process.stdout.write(`${passed - excluded.size} passed, ${broken} failed\n`)
  return broken + faults.length === 0
}

try {
  const reason = obstacle()
  if (reason !== undefined) {
    process.stdout.write(`tests with TLS: skipped, ${reason}\n0 passed, 0 failed\n`)
  } else if (!checkWatch()) {
    process.stdout.write('plain text would not be seen\n0 passed, 1 failed\n')
    process.exitCode = 1
  } else if (!judge(run())) {
    process.exitCode = 1
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
