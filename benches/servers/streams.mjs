// Connections as streams of Node.js: sockets of `node:net`, or `toDuplex()` of this package.

import { createServer } from 'node:net'

import { announce, obeyStandardInput } from './control.mjs'
import { netpoll } from './package.mjs'

/**
 * @param {import('./control.mjs').Arguments} settings
 * @param {(stream: import('node:stream').Duplex) => void} serve
 */
export async function serveStreams({ endpoint, over }, serve) {
  if (over === 'net') {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, serve)
    server.listen(endpoint, () => announce(server.address()))
    obeyStandardInput()
    return
  }
  const server = netpoll.createServer({
    allowHalfOpen: true,
    onConnect(connection) {
      serve(connection.toDuplex())
    },
  })
  await server.listen(endpoint)
  announce(server.address())
  obeyStandardInput()
}
