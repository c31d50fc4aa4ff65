// The whole suite, and worker threads that are terminated under load, on an add-on that is built with AddressSanitizer:
// memory that is used after it was freed, or beyond its end, is an error there and not a matter of luck.
//
//   npm run test:asan [-- --versions own,22,24,26] [--terminations 150] [--files '.test/memory/memory.test.mjs,…']
//
// Needs the nightly toolchain (rustup toolchain install nightly) and the sanitizer's library of gcc or clang. Without them it
// says so, and nothing has failed.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { nodeBinary } from './node-binaries.mjs'

const { values } = parseArgs({
  options: {
    versions: { type: 'string', default: 'own' },
    terminations: { type: 'string', default: '150' },
    files: { type: 'string', default: '' },
  },
})
/** The nightly toolchain: CI names the one of a day. */
const nightly = `+${process.env.RUST_NIGHTLY ?? 'nightly'}`
const target = { x64: 'x86_64-unknown-linux-gnu', arm64: 'aarch64-unknown-linux-gnu' }[process.arch]
const folder = resolve('target', 'asan')
const addon = join(folder, 'netpoll.asan.node')
const reports = join(folder, 'reports')
const ava = join('node_modules', 'ava', 'entrypoints', 'cli.mjs')
/** What only a hang reaches: everything is several times as slow as usual. */
const suiteLimit = 3_600_000

const works = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

/** Path of the compiler's library that has to be there before anything else; undefined where there is none. */
function sanitizerLibrary() {
  const places = [
    ['gcc', 'libasan.so'],
    ['clang', `libclang_rt.asan-${target.split('-')[0]}.so`],
  ]
  for (const [compiler, name] of places) {
    const { status, stdout } = spawnSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' })
    const path = stdout?.trim()
    if (status === 0 && isAbsolute(path) && existsSync(path)) return path
  }
  return undefined
}

/** Why it cannot be done here; undefined where it can. */
function obstacle() {
  const { glibcVersionRuntime } = process.report.getReport().header
  if (process.platform !== 'linux' || target === undefined || glibcVersionRuntime === undefined) {
    return 'only Linux with glibc has what it takes'
  }
  if (!works('cargo', nightly, '--version')) return 'there is no nightly toolchain'
  if (sanitizerLibrary() === undefined) return 'neither gcc nor clang has its library'
  return undefined
}

function build() {
  const env = {
    ...process.env,
    RUSTFLAGS: '-Zsanitizer=address -Cforce-frame-pointers=yes',
    CARGO_TARGET_DIR: folder,
    // The sanitizer does not work with link-time optimisation.
    CARGO_PROFILE_RELEASE_LTO: 'off',
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
    CARGO_PROFILE_RELEASE_OPT_LEVEL: '2',
  }
  const args = [nightly, 'build', '--release', '--locked', '--package', 'netpoll-node', '--target', target]
  if (spawnSync('cargo', args, { env, stdio: 'inherit' }).status !== 0) throw new Error('it does not compile')
  copyFileSync(join(folder, target, 'release', 'libnetpoll_node.so'), addon)
}

const environment = () => ({
  ...process.env,
  LD_PRELOAD: sanitizerLibrary(),
  NAPI_RS_NATIVE_LIBRARY_PATH: addon,
  // Node.js frees little at its end. Tests compare the resident memory of two runs, in which the quarantine, and what
  // its threads hold back, is filled by chance: with 8 MB they were 18 MB apart now and then, with 2 MB no more than 3.
  ASAN_OPTIONS: [
    'detect_leaks=0',
    // The tests of exhausted memory want a refusal, as the system gives it, and no report.
    'allocator_may_return_null=1',
    // Node.js has a handler of its own for WebAssembly, under which memory that is gone ends the process without a report.
    'handle_segv=2',
    'quarantine_size_mb=2',
    'thread_local_quarantine_size_kb=64',
    `log_path=${join(reports, 'report')}`,
    process.env.ASAN_OPTIONS ?? '',
  ].join(':'),
})

let passed = 0
let failed = 0
const table = []

/** What the sanitizer has found since the last time, in whatever process. */
function takeReports() {
  const found = readdirSync(reports).map((name) => readFileSync(join(reports, name), 'utf8'))
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports, { recursive: true })
  return found
}

/** Runs something; it fails by its status, by what it counts, or by a report, whatever else it says. */
function attempt(title, binary, args, { countsTests = false } = {}) {
  const began = performance.now()
  const options = { env: environment(), encoding: 'utf8', timeout: suiteLimit, maxBuffer: 2 ** 28 }
  const { status, signal, stdout, stderr } = spawnSync(binary, args, options)
  const found = takeReports()
  const number = (pattern) => Number(pattern.exec(stdout)?.[1] ?? 0)
  const good = countsTests ? number(/^# pass (\d+)/m) : Number(status === 0)
  const bad = countsTests ? number(/^# fail (\d+)/m) : Number(status !== 0)
  // A run that broke without counting a failure has failed all the same, and so has one in which only a child was caught.
  const broken = bad === 0 && (status !== 0 || found.length > 0) ? 1 : 0
  passed += good
  failed += bad + broken
  const seconds = Math.round((performance.now() - began) / 1000)
  table.push({ what: title, passed: good, failed: bad + broken, reports: found.length, seconds })
  if (bad + broken > 0) {
    const lines = countsTests ? failures(stdout) : stdout
    process.stdout.write(`FAILED: ${title} (${signal ?? status})\n${lines}\n${stderr}\n`)
  }
  for (const report of found) process.stdout.write(`${report}\n`)
  return {
    failedFiles:
      bad > 0 ? [...new Set(stdout.match(/^not ok \d+ - [\w-]+(?: › [\w-]+(?= › ))*/gm) ?? [])] : [],
    bad,
  }
}

/** Of the output of ava, what says which tests have failed, and why. */
function failures(output) {
  return (output.match(/^not ok .*(?:\n {2}---[\s\S]*?^ {2}\.\.\.$)?/gm) ?? [output.slice(-10_000)]).join(
    '\n',
  )
}

/** The suite. What fails is run again by itself: only time limits of tests make a difference between the two. */
function suite(title, binary) {
  const files = values.files === '' ? [] : values.files.split(',')
  const before = { passed, failed }
  const { failedFiles, bad } = attempt(`suite, ${title}`, binary, [ava, '--tap', '--timeout=10m', ...files], {
    countsTests: true,
  })
  const names = failedFiles.map((line) =>
    join('.test', `${line.replace(/^not ok \d+ - /, '').replaceAll(' › ', '/')}.test.mjs`),
  )
  const again = [...new Set(names)].filter((path) => existsSync(path))
  if (again.length === 0 || table.at(-1).reports > 0 || failed - before.failed !== bad) return
  failed = before.failed
  table.at(-1).failed = `${bad}, run again`
  attempt(
    `${again.length} of its files, alone`,
    binary,
    [ava, '--tap', '--timeout=10m', '--concurrency=1', ...again],
    {
      countsTests: true,
    },
  )
}

const reason = obstacle()
if (reason !== undefined) {
  process.stdout.write(`AddressSanitizer: skipped, ${reason}\n0 passed, 0 failed\n`)
} else {
  build()
  mkdirSync(reports, { recursive: true })
  takeReports()
  const terminations = join('.test', 'fixtures', 'terminations.mjs')
  for (const version of values.versions.split(',')) {
    const binary = version === 'own' ? process.execPath : nodeBinary(version)
    const title = version === 'own' ? `Node.js ${process.versions.node}` : `Node.js ${version}`
    suite(title, binary)
    for (const kind of ['inline', 'pollers', 'handlers-lost', 'handlers-closing']) {
      const count = values.terminations
      if (Number(count) > 0)
        attempt(`${count} terminations, ${kind}, ${title}`, binary, [terminations, kind, count])
    }
  }
  console.table(table)
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
  process.exitCode = failed > 0 ? 1 : 0
}
