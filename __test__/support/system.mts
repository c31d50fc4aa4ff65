import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

/** A path in a directory of the test's own. */
export function socketPath(t: ExecutionContext, name = 'server.sock'): string {
  const directory = mkdtempSync(join(tmpdir(), 'netpoll-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, name)
}

/** The sockets that this process has open, by inode. */
export function openSockets(): Set<string> {
  const sockets = new Set<string>()
  for (const descriptor of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${descriptor}`)
      if (target.startsWith('socket:')) sockets.add(target)
    } catch {
      // The descriptor by which the directory was read.
    }
  }
  return sockets
}

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Of a fixture whose handlers hold requests until all is measured: no leak, however long that takes. */
export const holding: NodeJS.ProcessEnv = { NETPOLL_LEAK_DETECTION: 'disabled' }

/** Runs a file of `fixtures/` in a process of its own, to its end. */
export function runFixture(
  t: ExecutionContext,
  name: string,
  options: {
    readonly args?: readonly string[]
    readonly flags?: readonly string[]
    readonly env?: NodeJS.ProcessEnv
  } = {},
): Promise<Outcome> {
  const file = fileURLToPath(new URL(`../fixtures/${name}.mjs`, import.meta.url))
  const child = spawn(process.execPath, [...(options.flags ?? []), file, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}
