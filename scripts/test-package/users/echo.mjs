// An echo server of the installed package: prints its port, and ends with its standard input.

import { createServer, lengthField } from 'netpoll'

const server = createServer({ framing: lengthField({ size: 4 }) }, async (request) => request)
await server.listen({ host: '127.0.0.1', port: 0 })
console.log(server.address().port)
process.stdin.once('end', () => server.close()).resume()
