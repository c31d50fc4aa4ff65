// Installs what `npm test` and `npm run bench` need, on a machine that has only Node.js, npm, a Rust
// toolchain and a C compiler. Does nothing where everything is in place.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' })
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}

function requireTool(command, advice) {
  if (spawnSync(command, ['--version']).status === 0) return
  process.stderr.write(`${command} was not found: ${advice}\n`)
  process.exit(1)
}

/** Whether node_modules was installed from the lock file as it is now. */
function isInstalled() {
  const marker = 'node_modules/.package-lock.json'
  if (!existsSync(marker)) return false
  const installed = JSON.parse(readFileSync(marker, 'utf8')).packages
  const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages
  return Object.entries(wanted).every(
    ([path, { version, optional, os, cpu, libc }]) =>
      path === '' || optional || os || cpu || libc || installed[path]?.version === version,
  )
}

requireTool('cargo', 'install Rust, see https://rustup.rs')
requireTool('cc', 'install a C compiler')
// Not `npm ci`: it refuses a lock file that was written where the registry does not have the packages of
// every other platform, which npm then leaves out.
if (!isInstalled()) run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'])
