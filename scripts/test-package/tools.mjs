// Programs that the tests of the packages need beside those of the project, from tools/package-lock.json.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { installLocked } from '../install-locked.mjs'

const folder = fileURLToPath(new URL('tools/', import.meta.url))

/** Path of something in an installed tool. */
export const tool = (...parts) => join(folder, 'node_modules', ...parts)

/** Installs them, unless they are there. */
export const installTools = () => installLocked(folder)

/** The versions of Node.js that there are: this one, and the others that tools/ has for this platform. */
export function nodeVersions() {
  const others = ['node-20', 'node-22', 'node-24', 'node-26'].map((name) => tool(name, 'bin', 'node'))
  const programs = [process.execPath, ...others.filter((program) => existsSync(program))]
  const versions = programs.map((program) => [
    execFileSync(program, ['--version'], { encoding: 'utf8' }).trim(),
    program,
  ])
  return [...new Map(versions)].map(([version, program]) => ({ version, program }))
}

/** A Node.js that the registry runs on. */
export function nodeForRegistry() {
  const found = nodeVersions().find(({ version }) => Number.parseInt(version.slice(1), 10) >= 22)
  if (found === undefined) throw new Error('the registry needs Node.js 22 or newer')
  return found.program
}
