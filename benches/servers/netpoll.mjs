// The subject: the same server on this package.

import { AsyncLocalStorage } from 'node:async_hooks'

import { createServer, Dialer, lengthField } from 'netpoll'
import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { chooseHandler, invertByReference } from './handler.mjs'

const MINUTE = 60_000
const WAITING_CALLS = 100_000

const { endpoint, task, onConnect, byReference, plainBuffers, contexts, timers, pollers } = readArguments()
const limits = { readTimeout: MINUTE, writeTimeout: MINUTE, idleTimeout: MINUTE }
const framing = lengthField({ size: 4 })
const options = timers ? { framing, pollers, ...limits } : { framing, pollers }

/** @returns {import('netpoll').RequestHandler} */
function handlerUnderTest() {
  if (contexts) {
    const storage = new AsyncLocalStorage()
    return async (request) => {
      storage.enterWith(request)
      return request
    }
  }
  if (byReference) return invertByReference
  const handler = chooseHandler(task)
  return plainBuffers ? (request) => handler(request) : handler
}

const server = createServer(onConnect ? { ...options, onConnect() {} } : options, handlerUnderTest())

/** Has as many calls wait as a busy client would, each under its own time limit. */
async function armTimers() {
  const silent = createServer({ onData: ({ reader }) => reader.skip(reader.length) })
  await silent.listen({ host: '127.0.0.1', port: 0 })
  const address = /** @type {import('node:net').AddressInfo} */ (silent.address())
  const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: address.port })
  const late = () => {}
  for (let call = 0; call < WAITING_CALLS; call += 1) {
    connection.call('?', { timeout: 60 * MINUTE }).catch(late)
  }
}

if (timers) await armTimers()
await server.listen(endpoint)
announce(server.address())
obeyStandardInput(() => {
  // Not every version of the package has it.
  const { stats } = /** @type {{ stats?: () => object }} */ (server)
  return stats === undefined ? {} : { stats: stats.call(server) }
})
