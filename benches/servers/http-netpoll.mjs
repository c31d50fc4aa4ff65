// The subject of HTTP: Node's server over connections of this package.

import { createServer } from 'netpoll'
import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { createHttpServer } from './http-service.mjs'

const { endpoint } = readArguments()

const httpServer = createHttpServer()
const server = createServer({
  onConnect(connection) {
    // Not every version of the package has it.
    const { toDuplex } = /** @type {{ toDuplex?: () => import('node:stream').Duplex }} */ (connection)
    if (toDuplex === undefined) throw new Error('this version of the package has no toDuplex()')
    httpServer.emit('connection', toDuplex.call(connection))
  },
})

await server.listen(endpoint)
announce(server.address())
obeyStandardInput(() => ({ stats: server.stats() }))
