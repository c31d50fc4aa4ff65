// The Thrift echo on this package.

import { announce, obeyStandardInput } from '../servers/control.mjs'
import { loadThrift } from '../servers/package.mjs'
import { EchoServer, handler } from './service.mjs'

const { createThriftServer } = await loadThrift()

const server = createThriftServer(EchoServer, handler)
await server.listen({ host: '127.0.0.1', port: 0 })
announce(/** @type {import('node:net').AddressInfo} */ (server.address()))
obeyStandardInput()
