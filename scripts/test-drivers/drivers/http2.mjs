import { startNodeServer } from '../services/node.mjs'
import { ask, begin, close, openSession } from '../support/http2.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

export default {
  title: '`node:http2` (client)',
  securities,

  async prepare({ transport, use }) {
    const { port, ...server } = await use(await startNodeServer('http2', transport.isSecure))
    return {
      async open() {
        const socket =
          transport.name === 'net' ? undefined : await transport.connect({ port }, { ALPNProtocols: ['h2'] })
        return openSession(transport, port, socket)
      },
      work: async (session) => String(await ask(session, '/work')),
      echo: (session, bytes) => ask(session, '/echo', bytes),
      begin,
      close,
      gone: (session) => firstOf(session, 'close'),
      kill: server.kill,
    }
  },
}
