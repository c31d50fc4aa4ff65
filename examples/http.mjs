// Node's own HTTP server over connections of this package: `node examples/http.mjs 8080`.

import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'netpoll'

const http = createHttpServer((request, response) => {
  response.setHeader('content-type', 'text/plain')
  response.end(`you asked for ${request.url}\n`)
})
// Starts its time limits.
http.emit('listening')

const server = createServer({
  onConnect: (connection) => void http.emit('connection', connection.toDuplex()),
})
await server.listen({ host: '127.0.0.1', port: Number(process.argv[2] ?? 8080) })
const { port } = /** @type {import('netpoll').TcpAddress} */ (server.address())
console.log(`listening on port ${port}`)
process.once('SIGTERM', () => {
  http.closeAllConnections()
  void server.close({ timeout: 1000 })
})
