// An empty project of a user who has Node.js and npm, and nothing else: no Rust, no compiler, no other registry.

import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const users = fileURLToPath(new URL('users/', import.meta.url))

/** The program npm that runs this, or that stands beside Node.js. */
const npmProgram =
  process.env.npm_execpath ?? join(process.execPath, '../../lib/node_modules/npm/bin/npm-cli.js')

/** What a project may call, as the only folder on its PATH. */
function makePath(folder, node) {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  symlinkSync(node, join(bin, 'node'))
  symlinkSync('/bin/sh', join(bin, 'sh'))
  for (const [name, program] of [
    ['npm', npmProgram],
    ['npx', npmProgram.replace('npm-cli', 'npx-cli')],
  ]) {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec "${node}" "${program}" "$@"\n`)
    chmodSync(join(bin, name), 0o755)
  }
  return bin
}

export class Project {
  /** @param {{ node: string, registry: { url: string, address: string } }} tools */
  constructor({ node, registry }) {
    this.home = mkdtempSync(join(tmpdir(), 'netpoll-user-'))
    this.folder = join(this.home, 'project')
    mkdirSync(this.folder)
    writeFileSync(join(this.folder, 'package.json'), '{ "name": "user", "private": true }\n')
    const settings = [
      `registry=${registry.url}`,
      `//${registry.address}/:_authToken=anybody`,
      'audit=false',
      'fund=false',
    ]
    writeFileSync(join(this.home, '.npmrc'), `${settings.join('\n')}\n`)
    this.env = { HOME: this.home, PATH: makePath(this.home, node), TMPDIR: tmpdir() }
  }

  /** Runs a command to its end; throws if it fails, unless `mayFail`. */
  run(command, args, { cwd = this.folder, env = {}, mayFail = false } = {}) {
    const outcome = spawnSync(command, args, {
      cwd,
      env: { ...this.env, ...env },
      encoding: 'utf8',
      timeout: 120_000,
    })
    if (outcome.error) throw outcome.error
    if (outcome.status !== 0 && !mayFail) {
      throw new Error(`${command} ${args.join(' ')}:\n${outcome.stdout}\n${outcome.stderr}`)
    }
    return outcome
  }

  /** Starts a command that goes on; killed with the project. */
  start(command, args) {
    this.child = spawn(command, args, { cwd: this.folder, env: this.env, stdio: ['pipe', 'pipe', 'inherit'] })
    return this.child
  }

  /** Runs one of `users/` in the project. */
  use(name, { args = [], ...options } = {}) {
    cpSync(join(users, name), join(this.folder, name))
    return this.run('node', [name, ...args], options).stdout
  }

  path(...parts) {
    return join(this.folder, ...parts)
  }

  has(...parts) {
    return existsSync(this.path(...parts))
  }

  remove() {
    this.child?.kill('SIGKILL')
    rmSync(this.home, { recursive: true, force: true })
  }
}

export const userFile = (name) => join(users, name)
