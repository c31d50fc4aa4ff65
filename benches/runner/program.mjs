// Where the program netpoll-bench is: the load client and the bare servers.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const built = fileURLToPath(new URL('../../target/release/netpoll-bench', import.meta.url))

/** The package that brings the program for this machine. */
function platformPackage() {
  const { platform, arch } = process
  if (platform !== 'linux') return `netpoll-bench-${platform}-${arch}`
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport())
  return `netpoll-bench-${platform}-${arch}-${header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`
}

/**
 * That of `NETPOLL_BENCH`, of this checkout, or of the package for this platform.
 *
 * @returns {string}
 * @throws {Error} where there is none
 */
export function findProgram() {
  const named = process.env['NETPOLL_BENCH']
  if (named !== undefined) return named
  if (existsSync(built)) return built
  const holder = platformPackage()
  try {
    return require.resolve(`${holder}/netpoll-bench`)
  } catch (cause) {
    const advice = 'install it, or name a program by NETPOLL_BENCH, or build one in a checkout: npm run bench'
    throw new Error(`there is no netpoll-bench for this machine in the package ${holder}: ${advice}`, {
      cause,
    })
  }
}
