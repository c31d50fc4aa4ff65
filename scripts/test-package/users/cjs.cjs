// A CommonJS module that uses the installed package.

const assert = require('node:assert/strict')
const { createServer, Dialer, lengthField } = require('netpoll')

async function main() {
  const framing = lengthField({ size: 4 })
  const server = createServer({ framing }, (request) => request)
  await server.listen({ host: '127.0.0.1', port: 0 })
  const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: server.address().port })
  assert.equal(String(await connection.call('hello')), 'hello')
  await connection.close()
  await server.close()
  console.log('used')
}

main()
