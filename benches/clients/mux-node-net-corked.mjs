// As `mux-node-net.mjs`, corked by hand: the requests of a turn leave in one system call.

import { readArguments, runCallers } from './load.mjs'
import { Connection } from './node-net.mjs'

const settings = readArguments()
const { endpoint, connections, timeout } = settings
const all = await Promise.all(Array.from({ length: connections }, () => Connection.open(endpoint)))
/** Those whose requests wait for the end of the turn. */
const corked = /** @type {Set<Connection>} */ (new Set())

function uncork() {
  for (const connection of corked) connection.uncork()
  corked.clear()
}

/** @param {Buffer} request */
function call(request) {
  const connection = all.reduce((best, other) => (other.load < best.load ? other : best))
  if (corked.size === 0) setImmediate(uncork)
  if (!corked.has(connection)) {
    corked.add(connection)
    connection.cork()
  }
  return connection.call(request, timeout)
}

await runCallers(settings, call)
for (const connection of all) connection.close()
