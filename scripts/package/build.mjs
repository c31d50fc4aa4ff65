// Builds what the packages of one platform hold, the way a release does: for an old glibc, stripped, with the symbols
// in files of their own.
//
//   npm run build:package [-- --target aarch64-unknown-linux-gnu]
//
// leaves in artifacts/ the add-on, the program netpoll-bench, and a .debug file (.dSYM on macOS) of each.

import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { artifactNames, hostTarget, root, targets } from './targets.mjs'

const artifacts = join(root, 'artifacts')

function run(command, args, options = {}) {
  execFileSync(command, args, { stdio: 'inherit', cwd: root, ...options })
}

/** The target that was asked for, this machine's without one. */
function chosenTarget() {
  const { values } = parseArgs({ options: { target: { type: 'string' } } })
  const target =
    values.target === undefined ? hostTarget() : targets.find(({ triple }) => triple === values.target)
  if (target === undefined) {
    throw new Error(`no target, those of package.json are ${targets.map(({ triple }) => triple).join(', ')}`)
  }
  return target
}

/** The folder of the linker for an old glibc; undefined for a platform that links with its own. */
function toolchainFolder({ triple, libc }) {
  if (libc !== 'glibc') return undefined
  const home = join(root, 'scripts', 'package', 'toolchain')
  const folder = join(root, 'target', 'toolchain', triple)
  if (existsSync(join(folder, 'bin', `${triple}-gcc`))) return folder
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`${triple} is built on Linux x64 alone: the linker for it runs there`)
  }
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: home })
  const archive = `${triple}.tar.xz`
  const [architecture] = triple.split('-')
  const holder = join(home, 'node_modules', '@napi-rs', `cross-toolchain-x64-target-${architecture}`)
  mkdirSync(folder, { recursive: true })
  run('tar', ['-xf', join(holder, archive), '-C', folder])
  return folder
}

/** What Cargo and the crate `cc` take from the toolchain: the linker, and the compiler of what ring has in C and assembly. */
function toolchainVariables(triple, toolchain) {
  if (toolchain === undefined) return {}
  const name = triple.replaceAll('-', '_')
  const tool = (command) => join(toolchain, 'bin', `${triple}-${command}`)
  return {
    [`CARGO_TARGET_${name.toUpperCase()}_LINKER`]: tool('gcc'),
    [`CC_${name}`]: tool('gcc'),
    [`AR_${name}`]: tool('ar'),
    // The compiler of 2015 does not say itself which version of the architecture it compiles for, and ring asks.
    ...(triple.startsWith('aarch64-') ? { [`CFLAGS_${name}`]: '-D__ARM_ARCH=8' } : {}),
  }
}

/** Compiles both; the add-on comes by napi, which knows what Node.js needs on each platform. */
function compile({ triple }, toolchain) {
  const env = { ...process.env, ...toolchainVariables(triple, toolchain) }
  const binding = ['--manifest-path', 'crates/node/Cargo.toml', '--output-dir', 'artifacts', '--no-js']
  const napi = ['napi', 'build', '--platform', '--release', '--target', triple, ...binding]
  run('npx', [...napi, '--dts', 'index.d.ts', '--', '--locked'], { env })
  rmSync(join(artifacts, 'index.d.ts'), { force: true })
  run('cargo', ['build', '--release', '--locked', '--target', triple, '-p', 'netpoll-bench'], { env })
}

/** Takes the symbols out of `file`, to a file beside it. */
function separateSymbols(file, { os, triple }, toolchain) {
  if (os === 'darwin') {
    run('dsymutil', [file, '-o', `${file}.dSYM`])
    run('strip', ['-x', file])
    // What was signed was the file with its symbols, and arm64 runs nothing unsigned.
    run('codesign', ['--force', '--sign', '-', file])
    return
  }
  const objcopy = toolchain ? join(toolchain, 'bin', `${triple}-objcopy`) : 'objcopy'
  run(objcopy, ['--only-keep-debug', file, `${file}.debug`])
  // In the folder of the file, because the link is a name without a path.
  run(objcopy, ['--strip-unneeded', `--add-gnu-debuglink=${file}.debug`, file])
}

const target = chosenTarget()
const { addon, program } = artifactNames(target)
const toolchain = toolchainFolder(target)
mkdirSync(artifacts, { recursive: true })
compile(target, toolchain)
copyFileSync(join(root, 'target', target.triple, 'release', 'netpoll-bench'), join(artifacts, program))
chmodSync(join(artifacts, program), 0o755)
for (const name of [addon, program]) separateSymbols(join(artifacts, name), target, toolchain)
