import { createRequire } from 'node:module'
import test from 'ava'

import { createServer, Dialer, Mux, Pool } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { framing, targetOf } from '../support/netpoll.mjs'

interface Native {
  SecureContext: new (settings: object) => object
}

const { nativeBinding } = createRequire(import.meta.url)('../../dist/native/binding.js') as {
  nativeBinding(): Native
}

const root = new Authority({ name: 'root' })
const identity = root.issue()
const tls = { ca: root.cert, servername: 'localhost', maxVersion: 'TLSv1.2' } as const
const maxRecords = 200

/** As it is, with keys that may encrypt no more than a few records. */
function lowered<Made>(make: () => Made): Made {
  const binding = nativeBinding()
  const { SecureContext } = binding
  binding.SecureContext = class extends SecureContext {
    constructor(settings: object) {
      super({ ...settings, maxRecords })
    }
  }
  try {
    return make()
  } finally {
    binding.SecureContext = SecureContext
  }
}

for (const pollers of [0, 1, 2]) {
  test.serial(`keys that are never made anew cost no call: pollers ${pollers}`, async (t) => {
    const server = lowered(() =>
      createServer({ framing, pollers, tls: { ...identity, ...patient } }, (request) => request),
    )
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const target = targetOf(server)
    const dialer = lowered(() => new Dialer({ framing, pollers, tls }))
    const connection = await dialer.dial(target)
    let calls = 0
    for (; connection.isActive; calls += 1) t.is(String(await connection.call(`${calls}`)), `${calls}`)
    t.true(calls > 150 && calls < maxRecords, `${calls} calls`)
    for (const Client of [Pool, Mux]) {
      const client = lowered((): Pool | Mux => new Client(target, { framing, pollers, tls, connections: 2 }))
      const before = server.stats().accepted
      const work = Array.from({ length: 4 }, async (_, index) => {
        for (let round = 0; round < 400; round += 1) {
          t.is(String(await client.call(`${index} ${round}`)), `${index} ${round}`)
        }
      })
      await Promise.all(work)
      t.true(server.stats().accepted - before > 3)
      await client.close()
    }
  })
}
