// The subject: a server on this package, whose handler has one of the forms.

import { AsyncLocalStorage } from 'node:async_hooks'

import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { FORMS } from './forms.mjs'
import { respondInBuffer } from './handler.mjs'
import { netpoll } from './package.mjs'

const MINUTE = 60_000
const WAITING_CALLS = 100_000

const { createServer, Dialer, lengthField } = netpoll
const { endpoint, tls, form, task, onConnect, contexts, timers, pollers } = readArguments()
const framing = lengthField({ size: 4 })
const options = {
  framing,
  pollers,
  ...(tls === undefined ? {} : { tls }),
  ...(onConnect ? { onConnect() {} } : {}),
  ...(timers ? { readTimeout: MINUTE, writeTimeout: MINUTE, idleTimeout: MINUTE } : {}),
}
const server = contexts ? serveWithContexts() : FORMS[form].serve(createServer, options, task)

/** Each request enters an asynchronous context of its own. */
function serveWithContexts() {
  const storage = new AsyncLocalStorage()
  return createServer(options, async (request) => {
    storage.enterWith(request)
    return respondInBuffer(request)
  })
}

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
obeyStandardInput(() => ({ stats: server.stats() }))
