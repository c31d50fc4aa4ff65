// A protocol of one's own in an afternoon: JSON behind a length and an id. `node examples/json-rpc.mjs`.

import { lengthField } from 'netpoll'
import { RpcError, TransportClient, TransportServer } from 'netpoll/rpc'

/** @type {import('netpoll/rpc').Codec} */
const codec = {
  framing: lengthField({ size: 4, maxLength: 1024 * 1024 }),
  id: { offset: 0, size: 4 },

  encode({ id, ...message }, writer) {
    writer.writeUint(id, 4)
    writer.writeString(
      JSON.stringify(message.kind === 'error' ? { ...message, error: describe(message.error) } : message),
    )
  },

  decode(bytes) {
    const message = { ...JSON.parse(bytes.toString('utf8', 4)), id: bytes.readUInt32BE(0) }
    if (message.kind === 'error') message.error = new RpcError(message.error.code, message.error.text)
    return message
  },
}

const describe = ({ code = 'ERR_RPC_INTERNAL', message }) => ({ code, text: message })

const methods = {
  add: ([a, b]) => a + b,
  divide([a, b]) {
    if (b === 0) throw new RpcError('DIVISION_BY_ZERO', `${a} cannot be divided by 0`)
    return a / b
  },
  async slow(_, call) {
    await new Promise((resolve) => call.signal.addEventListener('abort', resolve))
    console.log('nobody waits for the slow one any more')
    throw call.signal.reason
  },
}

const server = new TransportServer(codec, {
  onRead(call) {
    if (!Object.hasOwn(methods, call.method)) throw new RpcError('ERR_RPC_UNKNOWN_METHOD', call.method)
    return methods[call.method](call.body, call)
  },
})
await server.listen({ host: '127.0.0.1', port: 0 })

const client = new TransportClient({ host: '127.0.0.1', port: server.address().port }, codec)
console.log('1 + 2 =', await client.call('add', [1, 2]))
for (const [method, options] of [['divide'], ['nothing'], ['slow', { timeout: 50 }]]) {
  await client.call(method, [1, 0], options).catch(({ code }) => console.log(method, code))
}

await client.close()
await server.shutdown()
