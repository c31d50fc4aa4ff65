// Ten servers on this package: an echo of messages with ids, or the Thrift echo.

import { obeyStandardInput } from '../servers/control.mjs'
import { loadThrift, netpoll } from '../servers/package.mjs'
import { announceAll, readArguments, SERVERS } from './cluster-service.mjs'
import { EchoServer, handler } from './service.mjs'

const { api } = readArguments()
const { createThriftServer } = await loadThrift()
const framing = netpoll.lengthField({ size: 4 })

function create() {
  if (api === 'thrift') return createThriftServer(EchoServer, handler)
  return netpoll.createServer(
    { framing, id: { offset: 0, size: 4 }, ordered: false },
    async (request) => request,
  )
}

const ports = []
for (let count = 0; count < SERVERS; count += 1) {
  const server = create()
  await server.listen({ host: '127.0.0.1', port: 0 })
  ports.push(/** @type {import('node:net').AddressInfo} */ (server.address()).port)
}
announceAll(ports)
obeyStandardInput()
