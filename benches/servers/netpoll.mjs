// The subject: the same server on this package.

import { AsyncLocalStorage } from 'node:async_hooks'

import { createServer, lengthField } from '../../dist/index.mjs'
import { announce, echoHandler, obeyStandardInput, readArguments } from './control.mjs'

const { endpoint, hold, onConnect, contexts } = readArguments()
const options = { framing: lengthField({ size: 4 }) }

/** @returns {import('../../dist/index.mjs').RequestHandler} */
function chooseHandler() {
  if (contexts) {
    const storage = new AsyncLocalStorage()
    return async (request) => {
      storage.enterWith(request)
      return request
    }
  }
  return hold === undefined ? async (request) => request : echoHandler(hold)
}

const server = createServer(onConnect ? { ...options, onConnect() {} } : options, chooseHandler())

await server.listen(endpoint)
announce(server.address())
obeyStandardInput(() => {
  // Not every version of the package has it.
  const { stats } = /** @type {{ stats?: () => object }} */ (server)
  return stats === undefined ? {} : { stats: stats.call(server) }
})
