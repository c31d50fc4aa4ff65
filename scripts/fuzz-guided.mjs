// A random driver (fuzz/) that is guided by what its inputs reach: of those that reach something new it makes others.
//
//   npm run fuzz:guided -- <target> [--seconds 10] [--seed N | --input FILE] [--keep BYTES]
//
// The compiler puts a counter into each branch, in stable Rust; V8 counts for the targets that run in Node.js. With `--keep` the
// shortest inputs that reach it all are written to `fuzz/corpus/<target>.hex`, up to so many bytes: commit that file.

import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'

const target = { x64: 'x86_64', arm64: 'aarch64' }[process.arch]
const triple = `${target}-${process.platform === 'darwin' ? 'apple-darwin' : 'unknown-linux-gnu'}`
const folder = resolve('target', 'guided')
const flags = [
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=3',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
]
/** What checks itself is to do so, except for rustls, as in Cargo.toml. */
const checks = ['overflow-checks=true', 'debug-assertions=true', 'package.rustls.debug-assertions=false']
const env = {
  ...process.env,
  NETPOLL_FUZZ_GUIDED: '1',
  RUSTFLAGS: flags.join(' '),
  CARGO_TARGET_DIR: folder,
  // The counters do not go through link-time optimisation.
  CARGO_PROFILE_RELEASE_LTO: 'off',
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
}
const run = (command, args) => spawnSync(command, args, { env, stdio: 'inherit' }).status ?? 1

const build = [
  ...checks.flatMap((check) => ['--config', `profile.release.${check}`]),
  'build',
  '--release',
  '--locked',
  '--package',
  'netpoll-fuzz',
  '--features',
  'guided',
]
const status = run('cargo', [...build, '--target', triple])
const program = join(folder, triple, 'release', 'netpoll-fuzz')
process.exitCode = status === 0 ? run(program, process.argv.slice(2)) : status
