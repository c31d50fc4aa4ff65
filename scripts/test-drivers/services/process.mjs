// Servers of others: each in a process group of its own, with a temporary folder, on free ports of loopback.

import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { certificatePath, keyPath } from '../certificate.mjs'

const isRoot = process.getuid?.() === 0

/** `{ uid, gid }` of an account that servers run by which refuse to run by root's; nothing where we are not root. */
export function accountOf(name) {
  if (!isRoot) return {}
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${name}:`))
  if (line === undefined) throw new Error(`there is no account ${name}`)
  const [, , uid, gid] = line.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

/** A free port of loopback. */
export async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A temporary folder of an account's, with the key and certificate in it; gone with the process. */
export function temporaryFolder(account = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'netpoll-drivers-'))
  for (const [from, name] of [
    [keyPath, 'key.pem'],
    [certificatePath, 'certificate.pem'],
  ]) {
    cpSync(from, join(folder, name))
    chmodSync(join(folder, name), 0o600)
    if (account.uid !== undefined) chownSync(join(folder, name), account.uid, account.gid)
  }
  if (account.uid !== undefined) chownSync(folder, account.uid, account.gid)
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs a program to its end. */
export function runProgram(command, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...options })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command}: ${stdout}${stderr}`)
}

/** Kills a process and all that descend from it: some begin groups of their own. */
export function killTree(root) {
  const parents = new Map()
  for (const pid of readdirSync('/proc').map(Number).filter(Boolean)) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
    } catch {
      // It has ended meanwhile.
    }
  }
  const tree = [root]
  for (const parent of tree) {
    for (const [pid, its] of parents) if (its === parent) tree.push(pid)
  }
  for (const pid of tree) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
  }
}

/** Starts a server, and waits until it listens on `port`. */
export async function startProgram(command, args, { port, isReady, ...options }) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      printed = `${printed}${text}`.slice(-10_000)
      if (process.env.DRIVERS_VERBOSE) process.stderr.write(text)
    })
  }
  let failed
  child.once('error', (error) => {
    failed = error
  })
  const kill = () => killTree(child.pid)
  const attempts = 1_200
  for (let attempt = 0; ; attempt += 1) {
    if (failed !== undefined) throw failed
    if (child.exitCode !== null || attempt === attempts) {
      kill()
      throw new Error(`${command} does not start:\n${printed}`)
    }
    if (await (isReady?.() ?? listens(port))) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  // It ends with us, and keeps nobody.
  child.unref()
  for (const stream of [child.stdout, child.stderr]) stream.unref?.()
  return { groups: [child.pid], kill }
}

/** Whether somebody listens there. */
export function listens(port) {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
