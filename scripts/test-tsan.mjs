// The tests of the core under ThreadSanitizer: two threads that touch the same memory without an order are an error there, and
// not a matter of luck.
//
//   npm run test:tsan [-- TEST …]
//
// With names of tests (`poller_thread`, `shared_listeners`), only these. It needs nightly Rust with its sources (`rustup toolchain
// install nightly --component rust-src`), because the standard library is watched as well. Without them it says so, and nothing
// has failed. The sanitizer knows no fences: `cfg(thread_sanitizer)` puts loads in their place.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const toolchain = process.env.RUST_NIGHTLY ?? 'nightly'
const target = { x64: 'x86_64-unknown-linux-gnu', arm64: 'aarch64-unknown-linux-gnu' }[process.arch]
const folder = resolve('target', 'tsan')
const reports = join(folder, 'reports')

/** Why it cannot be done here; undefined where it can. */
function obstacle() {
  if (process.platform !== 'linux' || target === undefined) return 'only Linux has what it takes'
  const { status, stdout } = spawnSync('rustc', [`+${toolchain}`, '--print', 'sysroot'], { encoding: 'utf8' })
  if (status !== 0) return 'there is no nightly toolchain'
  const sources = join(stdout.trim(), 'lib', 'rustlib', 'src', 'rust', 'library')
  return existsSync(sources) ? undefined : 'the nightly toolchain lacks the component rust-src'
}

function run(names) {
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports, { recursive: true })
  const env = {
    ...process.env,
    RUSTFLAGS: '-Zsanitizer=thread --cfg thread_sanitizer',
    CARGO_TARGET_DIR: folder,
    CARGO_PROFILE_DEV_DEBUG: 'line-tables-only',
    CARGO_PROFILE_DEV_OPT_LEVEL: '1',
    TSAN_OPTIONS: `log_path=${join(reports, 'report')}:${process.env.TSAN_OPTIONS ?? ''}`,
  }
  const chosen = names.length === 0 ? ['--lib', '--tests'] : []
  const args = [`+${toolchain}`, 'test', '-Zbuild-std', '--target', target, '--package', 'netpoll-core']
  const options = { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 2 ** 28 }
  const { status, stdout } = spawnSync(
    'cargo',
    [...args, '--locked', '--no-fail-fast', ...chosen, ...names],
    options,
  )
  process.stdout.write(stdout)
  const found = readdirSync(reports).map((name) => readFileSync(join(reports, name), 'utf8'))
  for (const report of found) process.stdout.write(`${report}\n`)
  const sum = (pattern) =>
    Array.from(stdout.matchAll(pattern), ([, count]) => Number(count)).reduce((a, b) => a + b, 0)
  const passed = sum(/^test result: .*? (\d+) passed/gm)
  const failed = sum(/^test result: .*? (\d+) failed/gm)
  // A run that broke without counting a failure has failed all the same, and so has one in which something was found.
  const broken = failed === 0 && (status !== 0 || found.length > 0) ? 1 : 0
  process.stdout.write(`ThreadSanitizer: ${found.length} processes with reports\n`)
  process.stdout.write(`${passed} passed, ${failed + broken} failed\n`)
  return failed + broken
}

const reason = obstacle()
if (reason !== undefined) {
  process.stdout.write(`ThreadSanitizer: skipped, ${reason}\n0 passed, 0 failed\n`)
} else {
  process.exitCode = run(process.argv.slice(2)) > 0 ? 1 : 0
}
