import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join, resolve } from 'node:path'

/**
 * The file that this module runs in: its own, or that of a bundle. Bundlers that write ES modules leave no `__filename`: then
 * it is the program's.
 */
export const ownFile = typeof __filename === 'string' ? __filename : programFile()

/** Node.js may have been told the program's folder alone, as by `node .`. */
function programFile(): string {
  const path = resolve(process.argv[1] ?? process.execPath)
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  return isFolder ? join(path, 'index.js') : path
}

/** Whether a bundler has put this module into a file with others. */
export const isBundled = basename(ownFile) !== 'own-file.js'

/**
 * Finds and loads what lies beside {@link ownFile}, and packages that are installed there. Bundlers look for each literal
 * `require` when they build, on the platform of the build; what this finds is decided when it runs.
 */
export const requireHere = createRequire(ownFile)
