import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('../../__test__/fixtures/nested-loop.c', import.meta.url))

/** An add-on whose one function turns the event loop, in a folder of its own. */
export interface NestedLoop {
  readonly path: string
  readonly remove: () => void
}

/** Compiles it. */
export function buildNestedLoop(): NestedLoop {
  const folder = mkdtempSync(join(tmpdir(), 'netpoll-nested-'))
  const path = join(folder, 'nested-loop.node')
  const undefinedSymbols = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []
  const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Werror', ...undefinedSymbols]
  const { status, stderr, error } = spawnSync('cc', [...flags, '-o', path, source], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`cc has failed: ${stderr}`, { cause: error })
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
