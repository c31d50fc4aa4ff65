// The peer of `netpoll.mjs`, on plain `node:net`: a list of free connections, or each call to the connection with the
// fewest; corked by hand, the requests of a turn leave in one system call.

import { Connection } from './connection.mjs'
import { readArguments, runCallers } from './load.mjs'

const settings = readArguments()
const { endpoint, connections, timeout, sharing, corked: isCorked } = settings
const all = await Promise.all(Array.from({ length: connections }, () => Connection.open(endpoint)))
const free = [...all]
/** @type {((connection: Connection) => void)[]} */
const waiters = []
/** Those whose requests wait for the end of the turn. */
const corked = /** @type {Set<Connection>} */ (new Set())

/** @returns {Promise<Connection>} */
const nextFree = () => new Promise((resolve) => waiters.push(resolve))

/** @param {Buffer} request */
async function callAlone(request) {
  const connection = free.pop() ?? (await nextFree())
  try {
    return await connection.call(request, timeout)
  } finally {
    const waiter = waiters.shift()
    if (waiter === undefined) free.push(connection)
    else waiter(connection)
  }
}

function uncork() {
  for (const connection of corked) connection.uncork()
  corked.clear()
}

/** @param {Buffer} request */
function callShared(request) {
  const connection = all.reduce((best, other) => (other.load < best.load ? other : best))
  if (isCorked && corked.size === 0) setImmediate(uncork)
  if (isCorked && !corked.has(connection)) {
    corked.add(connection)
    connection.cork()
  }
  return connection.call(request, timeout)
}

await runCallers(settings, sharing === 'mux' ? callShared : callAlone)
for (const connection of all) connection.close()
