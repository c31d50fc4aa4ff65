// Calls a Thrift echo by this package.

import { loadThrift } from '../servers/package.mjs'
import { measure } from './load.mjs'
import { CALLERS, EchoServer, MUX_CONNECTIONS, readArguments } from './service.mjs'

const { createThriftClient } = await loadThrift()

const { port, transport, sharing, seconds } = readArguments()
const connections = sharing === 'mux' ? MUX_CONNECTIONS : CALLERS
const client = createThriftClient(
  EchoServer,
  { host: '127.0.0.1', port },
  { transport, kind: sharing, connections },
)
await measure(() => client.service, seconds)
