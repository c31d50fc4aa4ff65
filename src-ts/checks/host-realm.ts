import { runInThisContext } from 'node:vm'

/**
 * The globals of Node.js itself. Where a test runner gives each file a realm, that of the package has copies, fakes, those of a
 * browser, or none.
 */
export const hostRealm = globalsOfHost()

function globalsOfHost(): typeof globalThis {
  try {
    return runInThisContext('globalThis') as typeof globalThis
  } catch {
    // A host without realms has but one.
    return globalThis
  }
}
