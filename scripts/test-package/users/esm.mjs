// An ES module that uses the installed package, and shares it with CommonJS.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { createServer, Dialer, lengthField, NetpollError } from 'netpoll'

const require = createRequire(import.meta.url)
assert.equal(require('netpoll').NetpollError, NetpollError)

const framing = lengthField({ size: 4 })
const server = createServer({ framing }, async (request) => request)
await server.listen({ host: '127.0.0.1', port: 0 })
const { port } = server.address()
const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port })
assert.equal(String(await connection.call('hello')), 'hello')
await connection.close()
await assert.rejects(connection.call('again'), NetpollError)
await server.close()
console.log('used')
