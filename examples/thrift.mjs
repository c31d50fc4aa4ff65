// A Thrift service, called with Kitex's TTHeader: `npm install thrift && node examples/thrift.mjs`.

import { createThriftClient, createThriftServer } from 'netpoll/thrift'
import Greeter from './gen-nodejs/Greeter.js'
import { Unfriendly } from './gen-nodejs/greeter_types.js'

const server = createThriftServer(Greeter, (call) => ({
  /** @param {string} name */
  async greet(name) {
    if (name === '') throw new Unfriendly({ why: 'no name' })
    return `hello ${name}, sent by ${call.metadata['sender'] ?? 'nobody'}`
  },
  /** @param {string} name */
  wave: (name) => console.log(`waved at ${name}`),
}))
await server.listen({ host: '127.0.0.1', port: 0 })

const { port } = /** @type {import('netpoll').TcpAddress} */ (server.address())
const address = { host: '127.0.0.1', port }
const greeter = createThriftClient(Greeter, address, { transport: 'ttheader' })
await greeter.service.wave('everybody')
console.log(await greeter.withOptions({ timeout: 1000, metadata: { sender: 'me' } }).greet('world'))
await greeter.service.greet('').catch((error) => console.log(error instanceof Unfriendly, error.why))

await greeter.close()
await server.close()
