// A service with a binary protocol, handled without a view, a Buffer or a promise for each message: `node examples/counters.mjs`.
//
// A request is an id (4 bytes), an operation (1), a name with its length before it (1), and an amount (4). A reply is the id,
// and the counter's value (6).

import { createServer, Dialer, lengthField } from 'netpoll'

const framing = lengthField({ size: 4 })
const add = 1
const addLater = 2

/** @type {Map<string, number>} */
const counters = new Map()

/** @param {string} name @param {number} amount */
function count(name, amount) {
  const value = (counters.get(name) ?? 0) + amount
  counters.set(name, value)
  return value
}

const server = createServer({
  framing,
  onMessage: (reader, writer) => {
    const id = reader.readUint(4)
    const operation = reader.readByte()
    const name = reader.readString(reader.readByte())
    const amount = reader.readUint(4)
    if (operation === add) {
      writer.writeUint(id, 4)
      writer.writeUint(count(name, amount), 6)
    } else if (operation === addLater) {
      // Nothing of the reader or the writer is used after the handler: the handle is for that.
      const later = writer.later()
      setTimeout(() => {
        later.write((to) => {
          to.writeUint(id, 4)
          to.writeUint(count(name, amount), 6)
        })
      }, 10)
    } else {
      throw new Error(`There is no operation ${operation}`)
    }
  },
})
await server.listen({ host: '127.0.0.1', port: 0 })

const { port } = /** @type {import('netpoll').TcpAddress} */ (server.address())
const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port })
let ids = 0

/** @param {number} operation @param {string} name @param {number} amount */
async function ask(operation, name, amount) {
  const request = Buffer.alloc(10 + name.length)
  ids += 1
  request.writeUInt32BE(ids, 0)
  request[4] = operation
  request[5] = name.length
  request.write(name, 6, 'latin1')
  request.writeUInt32BE(amount, 6 + name.length)
  const reply = await connection.call(request, { timeout: 1000 })
  return `${reply.readUInt32BE(0)}: ${name} is ${reply.readUIntBE(4, 6)}`
}

const answers = [ask(add, 'apples', 3), ask(addLater, 'pears', 5), ask(add, 'apples', 4)]
console.log((await Promise.all(answers)).join('\n'))

await connection.close()
await server.close()
