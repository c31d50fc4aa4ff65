// Where things are.

import { fileURLToPath } from 'node:url'

/** A path from the root of the repository. @param {string} path */
export const fromRoot = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
