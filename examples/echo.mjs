// The smallest server and client: `node examples/echo.mjs`.

import { createServer, Dialer, lengthField } from 'netpoll'

const framing = lengthField({ size: 4 })

const server = createServer({ framing }, (request) => request)
await server.listen({ host: '127.0.0.1', port: 0 })

const { port } = /** @type {import('netpoll').TcpAddress} */ (server.address())
const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port })
console.log(String(await connection.call('hello', { timeout: 1000 })))

await connection.close()
await server.close()
