import { createRequire } from 'node:module'
import { basename, resolve } from 'node:path'

/**
 * The file that this module runs in: its own, or that of a bundle. Bundlers that write ES modules leave no `__filename`: then
 * it is the program's.
 */
export const ownFile =
  typeof __filename === 'string' ? __filename : resolve(process.argv[1] ?? process.execPath)

/** Whether a bundler has put this module into a file with others. */
export const isBundled = basename(ownFile) !== 'own-file.js'

/**
 * Finds and loads what lies beside {@link ownFile}, and packages that are installed there. Bundlers look for each literal
 * `require` when they build, on the platform of the build; what this finds is decided when it runs.
 */
export const requireHere = createRequire(ownFile)
