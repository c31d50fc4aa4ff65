import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, gone, rejection, targetOf } from '../support/netpoll.mjs'
import { type Place, places, words } from '../support/places.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const tls = { ca: root.cert, servername: 'localhost', ...patient }

interface Streams {
  readonly served: Connection
  readonly dialed: Connection
  /** The one at the place. */
  readonly asked: Connection
  readonly peer: Connection
}

/** Two streams of ours that are connected to each other. */
async function streamsAt(t: ExecutionContext, { side, pollers, transport }: Place): Promise<Streams> {
  const accepted = new Inbox<Connection>()
  const server = createServer({ pollers, onConnect: accepted.push })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const dialed = await new Dialer({ pollers }).dial(targetOf(server))
  t.teardown(() => gone(dialed))
  const served = await accepted.take()
  const [asked, peer] = side === 'server' ? [served, dialed] : [dialed, served]
  return { served, dialed, asked, peer }
}

/** Both go over to TLS. */
function bothStart({ served, dialed }: Streams): Promise<unknown> {
  return Promise.all([served.startTls({ ...identity, ...patient }), dialed.startTls(tls)])
}

for (const place of places) {
  for (const [name, ask] of [
    ['end', (connection: Connection) => connection.end()],
    ['retire', (connection: Connection) => connection.retire()],
  ] as const) {
    test(`what is asked of a connection that goes over to TLS is done then: ${name}, ${words(place)}`, async (t) => {
      const streams = await streamsAt(t, place)
      const { asked, peer } = streams
      const closed = new Promise<void>((resolve) => void asked.onClose(resolve))

      const secured = bothStart(streams)
      ask(asked)
      await secured
      t.is(asked.tls?.protocol, 'TLSv1.3')
      t.is(codeOf(await rejection(peer.reader.fill(1))), 'ERR_EOF')
      t.false(peer.isActive)
      await closed
      t.is(codeOf(await rejection(asked.send('late'))), 'ERR_CONN_CLOSED')
    })
  }
}

for (const place of places) {
  test(`a connection that goes over to TLS says why it is not given away: ${words(place)}`, async (t) => {
    const streams = await streamsAt(t, place)
    const { asked } = streams
    const isRefused = (): void => {
      t.throws(() => asked.detach(), {
        code: 'ERR_UNSUPPORTED',
        message: 'A connection with TLS cannot be given away',
      })
    }

    const secured = bothStart(streams)
    isRefused()
    await secured
    isRefused()
    asked.destroy()
    t.throws(() => asked.detach(), { code: 'ERR_CONN_CLOSED' })
  })
}

for (const place of places) {
  test(`no duplex takes a connection over that goes over to TLS: ${words(place)}`, async (t) => {
    const streams = await streamsAt(t, place)
    const { asked, peer } = streams

    const secured = bothStart(streams)
    t.throws(() => asked.toDuplex(), { code: 'ERR_CONCURRENT_ACCESS' })
    await secured
    const duplex = asked.toDuplex().on('error', () => {})
    t.true(duplex.encrypted)
    duplex.write('late')
    await peer.reader.fill(4)
    t.is(peer.reader.readString(4), 'late')
  })

  // A unix socket cannot be reset.
  if (place.transport === 'unix') continue

  test(`a peer that resets while a stream goes over is told as the reason: ${words(place)}`, async (t) => {
    const { side, pollers } = place
    const accepted = new Inbox<Connection>()
    const server = createServer({ pollers, onConnect: accepted.push, onError: () => {} })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, 'tcp'))
    // More than one, for the reset may come before or after the last plaintext has left.
    for (let round = 0; round < 20; round += 1) {
      const dialed = await new Dialer({ pollers, onError: () => {} }).dial(targetOf(server))
      const served = await accepted.take()
      const [asked, peer] = side === 'server' ? [served, dialed] : [dialed, served]
      const secured = rejection(asked.startTls(side === 'server' ? { ...identity, ...patient } : tls))
      peer.resetAndDestroy()
      t.is(codeOf(await secured), 'ECONNRESET')
      await Promise.all([gone(dialed), gone(served)])
    }
  })
}
