// An agent of Node's `http` over netpoll. `DialedSocket` is a stream that connects when it is asked to, as `net.Socket` does, so
// that the agent has it at once and counts it. `node examples/dialed-socket.mjs 8080` has an agent with two sockets ask the
// server of that port for ten pages.

import { Agent, get } from 'node:http'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { DialedSocket } from 'netpoll'

/** An agent whose connections are netpoll's. It has the stream at once, and so keeps to `maxSockets`. */
export class DialedAgent extends Agent {
  /** @override @param {object} options */
  createConnection(options) {
    return /** @type {never} */ (
      new DialedSocket().connect(/** @type {import('netpoll').DialOptions} */ (options))
    )
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const agent = new DialedAgent({ keepAlive: true, maxSockets: 2 })
  const pages = Array.from({ length: 10 }, (_, page) => {
    const { promise, resolve, reject } = withResolvers()
    get({ port: process.argv[2] ?? 8080, host: '127.0.0.1', path: `/${page}`, agent }, resolve).on(
      'error',
      reject,
    )
    return promise.then(text)
  })
  for (const page of await Promise.all(pages)) console.log(page)
  agent.destroy()
}

/** `Promise.withResolvers`, which Node.js 20 lacks. */
function withResolvers() {
  /** @type {(response: import('node:http').IncomingMessage) => void} */
  let resolve = () => {}
  /** @type {(error: Error) => void} */
  let reject = () => {}
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise: /** @type {Promise<import('node:http').IncomingMessage>} */ (promise), resolve, reject }
}
