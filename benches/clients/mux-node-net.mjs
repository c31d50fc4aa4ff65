// The peer of `mux-netpoll.mjs`, on plain `node:net`: each call goes to the connection with the fewest.

import { readArguments, runCallers } from './load.mjs'
import { Connection } from './node-net.mjs'

const settings = readArguments()
const { endpoint, connections, timeout } = settings
const all = await Promise.all(Array.from({ length: connections }, () => Connection.open(endpoint)))

/** @param {Buffer} request */
function call(request) {
  const connection = all.reduce((best, other) => (other.load < best.load ? other : best))
  return connection.call(request, timeout)
}

await runCallers(settings, call)
for (const connection of all) connection.close()
