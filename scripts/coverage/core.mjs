// Lines of the core that have run: in cargo's tests, in the add-on under ava, in the random drivers.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, relative, resolve } from 'node:path'

export const folder = resolve('target', 'coverage')
export const addon = join(folder, 'netpoll.coverage.node')
const profiles = join(folder, 'profiles')
const merged = join(folder, 'merged.profdata')
const objectList = join(folder, 'objects.json')

/** Folders of the core that the aim is for. */
const counted = ['frame', 'connection', 'buffer', 'tls'].map((name) => join('crates', 'core', 'src', name))

/** Whose tests use the core. */
const packages = ['netpoll-core', 'netpoll-node', 'netpoll-fuzz'].flatMap((name) => ['--package', name])

/** With what cargo compiles and runs what is counted. Each process adds to one of four files of its program. */
export const cargoEnvironment = () => ({
  ...process.env,
  RUSTC_WORKSPACE_WRAPPER: resolve('scripts', 'coverage', 'instrument.sh'),
  CARGO_TARGET_DIR: folder,
  CARGO_PROFILE_DEV_DEBUG: '0',
  CARGO_PROFILE_DEV_OPT_LEVEL: '1',
  CARGO_INCREMENTAL: '0',
  ...profileEnvironment(),
})

export const profileEnvironment = () => ({ LLVM_PROFILE_FILE: join(profiles, '%4m.profraw') })

/** A program of the component llvm-tools, which fits the compiler. */
function tool(name) {
  const libraries = execFileSync('rustc', ['--print', 'target-libdir'], { encoding: 'utf8' }).trim()
  const path = join(libraries, '..', 'bin', name)
  if (!existsSync(path)) throw new Error(`there is no ${name}: rustup component add llvm-tools`)
  return path
}

function compile(...args) {
  const run = spawnSync('cargo', [...args, '--locked', '--message-format', 'json'], {
    env: cargoEnvironment(),
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (run.status !== 0) throw new Error(`cargo ${args.join(' ')} has failed`)
  return run.stdout
}

/** Compiles tests, drivers and add-on; what is compiled is known to {@link report}. */
export function build() {
  tool('llvm-cov')
  rmSync(profiles, { recursive: true, force: true })
  rmSync(merged, { force: true })
  mkdirSync(profiles, { recursive: true })
  const compiled = [
    compile('build', '--package', 'netpoll-node'),
    compile('build', '--package', 'netpoll-fuzz'),
    compile('test', ...packages, '--no-run'),
  ]
  const messages = compiled.flatMap((text) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  )
  const objects = new Set()
  for (const { executable, target, filenames = [] } of messages) {
    if (executable) objects.add(executable)
    if (!target?.kind.includes('cdylib')) continue
    const library = filenames.find((name) => name.endsWith('.so') || name.endsWith('.dylib'))
    if (library === undefined) continue
    copyFileSync(library, addon)
    objects.add(addon)
  }
  writeFileSync(objectList, JSON.stringify([...objects]))
}

/** Runs cargo's tests. */
export function test() {
  const args = ['test', ...packages, '--locked', '--no-fail-fast']
  spawnSync('cargo', args, { env: cargoEnvironment(), stdio: 'inherit' })
}

/** Runs random drivers, each with what is saved for it, and for so many seconds. */
export function drive(targets, seconds) {
  for (const target of targets) {
    const args = [
      'run',
      '--locked',
      '--quiet',
      '--package',
      'netpoll-fuzz',
      '--',
      target,
      '--seconds',
      seconds,
    ]
    spawnSync('cargo', args, { env: cargoEnvironment(), stdio: 'inherit' })
  }
}

/** Puts what processes have left so far into one file. */
export function merge() {
  const parts = readdirSync(profiles).map((name) => join(profiles, name))
  if (parts.length === 0) return
  const before = existsSync(merged) ? [merged] : []
  const next = `${merged}.next`
  const args = ['merge', '-sparse', '-failure-mode=all', ...before, ...parts, '-o', next]
  execFileSync(tool('llvm-profdata'), args, { stdio: 'inherit' })
  copyFileSync(next, merged)
  for (const part of parts) rmSync(part, { force: true })
}

/** Lines of a file before its tests, which stand at its end. */
function linesOfCode(file) {
  const lines = readFileSync(file, 'utf8').split('\n')
  const tests = lines.findIndex((line) => /^#\[cfg\((all\()?test\b/.test(line))
  return tests < 0 ? lines.length : tests
}

/** Each line of code that can run, and whether it has: `{ file, covered, missed }`. */
export function report() {
  merge()
  const [first, ...others] = JSON.parse(readFileSync(objectList, 'utf8'))
  const args = ['export', '--format=lcov', `--instr-profile=${merged}`, first]
  for (const object of others) args.push('--object', object)
  const lcov = execFileSync(tool('llvm-cov'), args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const files = new Map()
  let current
  for (const line of lcov.split('\n')) {
    const [kind, value] = line.split(/:(.*)/)
    if (kind === 'SF') {
      const file = relative(process.cwd(), value)
      const isCounted = counted.some((place) => file.startsWith(place)) && !/(^|\/)tests(\.rs|\/)/.test(file)
      current = isCounted ? { file, limit: linesOfCode(file), covered: 0, missed: [] } : undefined
      if (current) files.set(file, current)
    } else if (kind === 'DA' && current !== undefined) {
      const [number, count] = value.split(',').map(Number)
      if (number > current.limit) continue
      if (count > 0) current.covered += 1
      else current.missed.push(number)
    }
  }
  return { groups: counted, files: [...files.values()] }
}
