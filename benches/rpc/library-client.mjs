// Calls a Thrift echo by the library's own client, over `node:net`. As a mux each connection has a quarter of the
// callers: the library matches replies by their ids.

import { framedBinary, thrift } from './library.mjs'
import { measure } from './load.mjs'
import { CALLERS, EchoServer, MUX_CONNECTIONS, readArguments } from './service.mjs'

const { port, sharing, seconds } = readArguments()
const connections = sharing === 'mux' ? MUX_CONNECTIONS : CALLERS
const clients = Array.from({ length: connections }, () =>
  thrift.createClient(EchoServer, thrift.createConnection('127.0.0.1', port, framedBinary)),
)
await measure(
  (caller) => /** @type {import('./service.mjs').EchoClient} */ (clients[caller % connections]),
  seconds,
)
