import { setImmediate as turn } from 'node:timers/promises'
import * as grpc from '@grpc/grpc-js'

import { certificate, key } from '../certificate.mjs'
import { startRelay } from '../support/relay.mjs'
import { securities } from '../transports.mjs'

const bytes = { serialize: (value) => value, deserialize: (value) => value }
const method = (path, responseStream = false) => ({
  path: `/test/${path}`,
  requestStream: false,
  responseStream,
  requestSerialize: bytes.serialize,
  requestDeserialize: bytes.deserialize,
  responseSerialize: bytes.serialize,
  responseDeserialize: bytes.deserialize,
})
const service = { echo: method('echo'), peer: method('peer'), hang: method('hang', true) }
const options = { 'grpc.max_receive_message_length': 2 ** 24, 'grpc.use_local_subchannel_pool': 1 }

/** The server's connections are the transport's; its client has no way to be given any. */
export default {
  title: '`@grpc/grpc-js` (server)',
  note: 'its client takes no socket',
  securities,

  async prepare({ transport }) {
    const server = new grpc.Server(options)
    let ended
    server.addService(service, {
      echo: (call, reply) => reply(null, call.request),
      peer: (call, reply) => reply(null, Buffer.from(call.getPeer().replace(/:\d+$/, ''))),
      hang(call) {
        ended = new Promise((resolve) => call.once('cancelled', resolve))
        call.write(Buffer.from('the beginning'))
      },
    })
    const pair = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) }]
    const credentials = transport.addsTls
      ? grpc.ServerCredentials.createSsl(null, pair)
      : grpc.ServerCredentials.createInsecure()
    let port
    let served
    if (transport.name === 'net') {
      port = await new Promise((resolve, reject) =>
        server.bindAsync('127.0.0.1:0', credentials, (error, found) =>
          error ? reject(error) : resolve(found),
        ),
      )
    } else {
      const injector = server.createConnectionInjector(credentials)
      const connections = {
        emit: (event, socket) => event === 'connection' && injector.injectConnection(socket),
      }
      served = await transport.serve(connections, { ALPNProtocols: ['h2'] })
      port = served.port
    }
    const relay = await startRelay(port)
    const Client = grpc.makeGenericClientConstructor(service, 'test')
    const clients = new Set()
    const call = (client, name, value) =>
      new Promise((resolve, reject) =>
        client[name](value, (error, answer) => (error ? reject(error) : resolve(answer))),
      )
    return {
      async open() {
        const trust = transport.isSecure
          ? grpc.credentials.createSsl(Buffer.from(certificate))
          : grpc.credentials.createInsecure()
        const client = new Client(`localhost:${relay.port}`, trust, options)
        clients.add(client)
        return client
      },
      work: async (client) => String(await call(client, 'peer', Buffer.alloc(0))),
      echo: (client, value) => call(client, 'echo', value),
      async begin(client) {
        const stream = client.hang(Buffer.alloc(0))
        stream.on('error', () => {})
        await new Promise((resolve) => stream.once('data', resolve))
        return { ended }
      },
      close: async (client) => client.close(),
      kill: relay.kill,
      async end() {
        for (const client of clients) client.close()
        relay.close()
        // A session that an error has destroyed has yet to close: it would wait for that for ever.
        while ([...server.sessions.keys()].some(({ destroyed }) => destroyed)) await turn()
        await new Promise((resolve, reject) =>
          server.tryShutdown((error) => (error ? reject(error) : resolve())),
        )
        await served?.close()
      },
    }
  },
}
