// A dial that is given up while its user's function compares the name of the server.

import test, { type ExecutionContext } from 'ava'

import { createServer, Dialer, Mux, type MuxOptions, Pool } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { placeOf } from '../support/listeners.mjs'
import { framing, rejection, targetOf } from '../support/netpoll.mjs'
import type { Target } from '../support/peer.mjs'
import { type Place, places, words } from '../support/places.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()

const makers = {
  Pool: (...[address, options]: ConstructorParameters<typeof Pool>) => new Pool(address, options),
  Mux: (...[address, options]: [ConstructorParameters<typeof Mux>[0], MuxOptions]) =>
    new Mux(address, options),
} as const

/** Where a server is dialed; gone with the test. */
async function servedAt(t: ExecutionContext, { pollers, transport }: Place): Promise<Target> {
  const server = createServer({ framing, pollers, tls: { ...identity, ...patient } }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  return targetOf(server)
}

for (const place of places.filter(({ side }) => side === 'dialed')) {
  const { pollers } = place

  for (const returned of [undefined, new Error('it is not the one')]) {
    const title = `${words(place)}${returned === undefined ? '' : ', which refuses the name'}`

    test(`a dial that is aborted by checkServerIdentity rejects with that reason: ${title}`, async (t) => {
      const target = await servedAt(t, place)
      const controller = new AbortController()
      const reason = new Error('mine')
      const checkServerIdentity = (): Error | undefined => {
        controller.abort(reason)
        return returned
      }
      const tls = { ca: root.cert, servername: 'localhost', checkServerIdentity }
      const dialer = new Dialer({ framing, pollers, connectTimeout: 0, tls })
      t.is(await rejection(dialer.dial({ ...target, signal: controller.signal })), reason)
      t.like(dialer.stats(), { connections: 0, dialed: 0, failed: 1 })
    })
  }

  for (const [name, make] of Object.entries(makers)) {
    test(`a ${name} that closes within checkServerIdentity closes: ${words(place)}`, async (t) => {
      const target = await servedAt(t, place)
      const checkServerIdentity = (): undefined => void client.close({ timeout: 0 })
      const tls = { ca: root.cert, servername: 'localhost', checkServerIdentity }
      const client = make(target, { framing, pollers, connectTimeout: 0, tls })
      t.true((await rejection(client.call('late'))) instanceof Error)
      await client.close()
    })
  }
}
