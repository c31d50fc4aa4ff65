// The subject: the same server on this package.

import { AsyncLocalStorage } from 'node:async_hooks'
import { setEnvironmentData } from 'node:worker_threads'

import { createServer, Dialer, lengthField } from 'netpoll'
import { compute } from './busy-handler.mjs'
import { announce, echoHandler, obeyStandardInput, readArguments } from './control.mjs'

const MINUTE = 60_000
const WAITING_CALLS = 100_000

const { endpoint, hold, onConnect, contexts, timers, pollers, work, workers } = readArguments()
const limits = { readTimeout: MINUTE, writeTimeout: MINUTE, idleTimeout: MINUTE }
const framing = lengthField({ size: 4 })
const options = timers ? { framing, pollers, ...limits } : { framing, pollers }

/** @returns {import('netpoll').RequestHandler} */
function chooseHandler() {
  if (contexts) {
    const storage = new AsyncLocalStorage()
    return async (request) => {
      storage.enterWith(request)
      return request
    }
  }
  if (work !== undefined) return async (request) => (compute(work) === 0 ? undefined : request)
  return hold === undefined ? async (request) => request : echoHandler(hold)
}

function makeServer() {
  if (workers === undefined) {
    return createServer(onConnect ? { ...options, onConnect() {} } : options, chooseHandler())
  }
  setEnvironmentData('netpoll.bench.work', work ?? 0)
  const module = new URL('busy-handler.mjs', import.meta.url)
  return createServer({ ...options, workers: { module, threads: workers } })
}

const server = makeServer()

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
