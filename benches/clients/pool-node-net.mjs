// The peer of `pool-netpoll.mjs`, on plain `node:net`: a list of free connections, and a timer for each call.

import { readArguments, runCallers } from './load.mjs'
import { Connection } from './node-net.mjs'

const settings = readArguments()
const { endpoint, connections, timeout } = settings
const all = await Promise.all(Array.from({ length: connections }, () => Connection.open(endpoint)))
const free = [...all]
/** @type {((connection: Connection) => void)[]} */
const waiters = []

/** @returns {Promise<Connection>} */
function nextFree() {
  return new Promise((resolve) => waiters.push(resolve))
}

/** @param {Buffer} request */
async function call(request) {
  const connection = free.pop() ?? (await nextFree())
  try {
    return await connection.call(request, timeout)
  } finally {
    const waiter = waiters.shift()
    if (waiter === undefined) free.push(connection)
    else waiter(connection)
  }
}

await runCallers(settings, call)
for (const connection of all) connection.close()
