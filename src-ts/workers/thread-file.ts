import { NetpollError } from '../errors'
import { isBundled, ownFile, requireHere } from '../native/own-file'
import { version } from '../native/version'

/** Where the file may lie that worker threads run: in this package, or beside a bundle. */
const places = isBundled
  ? ['./workers/netpoll-worker.js', './netpoll-worker.js', './netpoll-worker.cjs', './netpoll-worker.mjs']
  : ['../workers/netpoll-worker.js']

/**
 * The file that worker threads run. A bundle without one beside it takes that of an installed package of the same version.
 * Another version would get messages that it does not understand.
 *
 * @throws NetpollError `ERR_UNSUPPORTED`
 */
export function threadFile(): string {
  let cause: unknown
  for (const place of places) {
    try {
      return requireHere.resolve(place)
    } catch (error) {
      cause = error
    }
  }
  try {
    if (installedVersion() === version) return requireHere.resolve('netpoll/worker')
  } catch (error) {
    cause = error
  }
  const message =
    `The file of worker threads is neither netpoll-worker.js beside ${ownFile}, nor is netpoll ${version} installed ` +
    "there: build the entry 'netpoll/worker' to a file of that name"
  throw new NetpollError('ERR_UNSUPPORTED', message, { cause })
}

function installedVersion(): string {
  return (requireHere('netpoll/package.json') as { readonly version: string }).version
}
