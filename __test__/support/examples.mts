import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

import { Inbox } from './deferred.mjs'

/** A program of `examples/` that runs. */
export interface Example {
  readonly process: ChildProcessWithoutNullStreams
  /** What it has printed, line by line. */
  readonly lines: Inbox<string>
  /** Resolves with its exit code, and what it said on stderr. */
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>
}

/** Starts a program of `examples/`, which is gone with the test. */
export function startExample(t: ExecutionContext, name: string, ...args: readonly string[]): Example {
  const file = fileURLToPath(new URL(`../../examples/${name}.mjs`, import.meta.url))
  const child = spawn(process.execPath, [file, ...args])
  const lines = new Inbox<string>()
  createInterface(child.stdout).on('line', lines.push)
  let stderr = ''
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString()
  })
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stderr }))
  })
  t.teardown(() => {
    child.kill('SIGKILL')
    return ended
  })
  return { process: child, lines, ended }
}

/** The port that an example says it listens on. */
export async function portOfExample({ lines, ended }: Example): Promise<number> {
  const failed = ended.then(({ stderr }) => {
    throw new Error(`the example has ended: ${stderr}`)
  })
  const line = await Promise.race([lines.take(), failed])
  return Number(/^listening on port (\d+)$/.exec(line)?.[1])
}
