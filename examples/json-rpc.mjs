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

/** @param {unknown} error */
function describe(error) {
  if (error instanceof RpcError) return { code: error.code, text: error.message }
  return { code: 'ERR_RPC_INTERNAL', text: String(error) }
}

/** @typedef {(parameters: number[], call: import('netpoll/rpc').ServerCall) => unknown} Method */

/** @type {Record<string, Method>} */
const methods = {
  add: ([a = 0, b = 0]) => a + b,
  divide([a = 0, b = 0]) {
    if (b === 0) throw new RpcError('DIVISION_BY_ZERO', `${a} cannot be divided by 0`)
    return a / b
  },
  async slow(_, call) {
    await new Promise((resolve) => call.signal.addEventListener('abort', resolve))
    console.log('nobody waits for the slow one any more')
    // Whether this or the caller's own clock is first, it says the same.
    throw new RpcError('ERR_REQUEST_TIMEOUT', 'The caller waits no longer')
  },
}

const server = new TransportServer(codec, {
  onRequest(call) {
    const method = Object.hasOwn(methods, call.method) ? methods[call.method] : undefined
    if (method === undefined) throw new RpcError('ERR_RPC_UNKNOWN_METHOD', call.method)
    return method(/** @type {number[]} */ (call.body), call)
  },
})
await server.listen({ host: '127.0.0.1', port: 0 })

const { port } = /** @type {import('netpoll').TcpAddress} */ (server.address())
const client = new TransportClient({ host: '127.0.0.1', port }, codec)
console.log('1 + 2 =', await client.call('add', [1, 2]))
for (const { method, timeout } of [
  { method: 'divide' },
  { method: 'nothing' },
  { method: 'slow', timeout: 50 },
]) {
  await client.call(method, [1, 0], { timeout }).catch(({ code }) => console.log(method, code))
}

await client.close()
await server.close()
