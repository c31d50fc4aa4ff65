import test from 'ava'

import { createServer, type FramedServerOptions } from '../../dist/index.mjs'
import { Authority } from '../support/certificates.mjs'
import { until } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { connectPeer, framing, serve, targetOf } from '../support/netpoll.mjs'

const identity = new Authority({ name: 'root' }).issue()
const id = { offset: 0, size: 4 } as const

const ways: {
  readonly [name: string]: readonly [Partial<FramedServerOptions>, { readonly timeout?: number }]
} = {
  'a server that closes': [{}, {}],
  'a server that closes after a time': [{ id, goAway: Buffer.alloc(4) }, { timeout: 0 }],
  'a server whose clients have had their time': [{ id, goAway: Buffer.alloc(4), maxCloseTime: 1 }, {}],
}

for (const pollers of [0, 1, 2]) {
  for (const transport of ['tcp', 'unix'] as const) {
    for (const [name, [options, close]] of Object.entries(ways)) {
      for (const shared of [false, true])
        test(`${name} leaves no handshake behind: pollers ${pollers}, ${transport}${shared ? ', shared' : ''}`, async (t) => {
          // The pollers go on.
          await serve(t, { pollers })
          const server = createServer({
            framing,
            pollers,
            ...options,
            tls: { ...identity, handshakeTimeout: 0, onHandshakeError: () => t.fail('nobody has failed') },
          })
          t.teardown(() => server.close({ timeout: 0 }))
          await server.listen({ ...placeOf(t, transport), shared })
          const target = targetOf(server)
          const peers = await Promise.all([1, 2, 3].map(() => connectPeer(t, target)))
          await until(() => server.stats().tls?.handshaking === peers.length)
          await server.close(close)
          t.like(server.stats(), { connections: 0, tls: { handshaking: 0, failed: 0 } })
          for (const peer of peers) t.is((await peer.readToEnd()).length, 0)
        })
    }
  }
}
