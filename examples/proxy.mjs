// A TCP proxy: `node examples/proxy.mjs 8000 example.org 80`. What arrives is sent on from the memory that it
// arrived in, and a slow side slows the other.

import { createServer, Dialer } from 'netpoll'

const [port = 8000, host = '127.0.0.1', targetPort] = process.argv.slice(2)

/** Both directions may end on their own. */
const options = { allowHalfOpen: true }
const dialer = new Dialer(options)

/** @param {import('netpoll').Connection} from @param {import('netpoll').Connection} to */
async function forward(from, to) {
  try {
    for await (const chunk of from) {
      to.writer.writeBinary(chunk)
      await to.writer.flush()
    }
    to.end()
  } catch {
    // One side has failed: the other has nobody to speak to.
    from.destroy()
    to.destroy()
  }
}

const server = createServer({
  ...options,
  async onConnect(client) {
    const target = await dialer.dial({ host, port: Number(targetPort) })
    client.onClose(() => target.destroy())
    void forward(client, target)
    void forward(target, client)
  },
  onError: (error) => console.error(String(error)),
})
await server.listen({ host: '127.0.0.1', port: Number(port) })
const address = /** @type {import('netpoll').TcpAddress} */ (server.address())
console.log(`listening on port ${address.port}`)
process.once('SIGTERM', () => server.close({ timeout: 0 }))
