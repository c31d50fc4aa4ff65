// The Thrift echo on the library's own server, over `node:net`.

import { announce, obeyStandardInput } from '../servers/control.mjs'
import { framedBinary, thrift } from './library.mjs'
import { EchoServer, handler } from './service.mjs'

const server = thrift.createServer(EchoServer, handler, framedBinary)
// Clients that end in the middle of a call.
server.on('error', () => {})
server.listen(0, '127.0.0.1', () => announce(server.address()))
obeyStandardInput()
