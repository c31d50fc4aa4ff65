// Says what the first use says where the add-on is missing.

import { createServer, lengthField } from 'netpoll'

const server = createServer({ framing: lengthField({ size: 4 }) }, (request) => request)
await server
  .listen({ host: '127.0.0.1', port: 0 })
  .catch(({ code, message }) => console.log(`${code}: ${message}`))
