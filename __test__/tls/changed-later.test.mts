// What a user changes or wipes after it was given changes nothing, and what was changed by the next time counts.

import test, { type ExecutionContext } from 'ava'
import nodeTls from 'node:tls'

import { type Connection, createServer, Dialer, type ServerTlsOptions } from '../../dist/index.mjs'
import { Authority, ofClient, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, framing, gone, rejection, targetOf } from '../support/netpoll.mjs'
import { places, words } from '../support/places.mjs'

const root = new Authority({ name: 'root' })
const other = new Authority({ name: 'other' })
const identity = root.issue()
const unknown = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'

/** Credentials as bytes, and what wipes them. */
function wiped({ key, cert } = identity) {
  const bytes = { key: Buffer.from(key), cert: [Buffer.from(cert)], ca: [Buffer.from(root.cert)] }
  const wipe = (): void => {
    bytes.key.fill(0)
    bytes.cert[0]?.fill(0)
    bytes.cert.length = 0
    bytes.ca[0]?.fill(0)
    bytes.ca.length = 0
  }
  return { bytes, wipe }
}

for (const place of places.filter(({ side }) => side === 'server')) {
  const { pollers, transport } = place

  test(`keys that a user wipes stay with the server: ${words(place)}`, async (t) => {
    const [own, named, late] = [wiped(), wiped(), wiped()]
    const { key, cert } = named.bytes
    const ALPNProtocols = ['a']
    const tls = { ...own.bytes, contexts: { 'b.test': { key, cert } }, ALPNProtocols, ...patient }
    const server = createServer({ framing, pollers, tls, onRequest: (request) => request })
    t.teardown(() => server.close({ timeout: 0 }))
    own.wipe()
    named.wipe()
    ALPNProtocols.length = 0
    server.addContext('c.test', { key: late.bytes.key, cert: late.bytes.cert })
    late.wipe()
    // All of them are taken again.
    server.setSecureContext({ minVersion: 'TLSv1.3' })
    server.addContext('d.test', identity)
    await server.listen(placeOf(t, transport))
    const trust = wiped(root.issue({ name: 'client', extensions: ofClient }))
    const dialer = new Dialer({ framing, pollers, tls: { ...trust.bytes, ALPNProtocols: ['a'] } })
    trust.wipe()
    dialer.setSecureContext({ servername: 'localhost' })
    const connection = await dialer.dial(targetOf(server))
    t.is(connection.tls?.protocol, 'TLSv1.3')
    t.is(connection.tls?.alpnProtocol, 'a')
    t.true(connection.tls?.authorized)
    await gone(connection)
  })
}

/** Two streams that are connected. */
async function streams(t: ExecutionContext, pollers: number) {
  const accepted = new Inbox<Connection>()
  const server = createServer({ pollers, onConnect: accepted.push, onError: () => {} })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return async (options: object, own: object = identity) => {
    const dialed = await new Dialer({ pollers, onError: () => {} }).dial(targetOf(server))
    t.teardown(() => gone(dialed))
    const served = await accepted.take()
    const both = [
      dialed.startTls({ servername: 'localhost', ...patient, ...options }),
      served.startTls({ ...patient, ...own } as ServerTlsOptions),
    ] as const
    const [ours, theirs] = await Promise.allSettled(both)
    return { ours, theirs, dialed, served }
  }
}

for (const pollers of [0, 1]) {
  test(`startTls goes by what its options say by then: pollers ${pollers}`, async (t) => {
    const start = await streams(t, pollers)
    const ca = [other.cert]
    const before = await start({ ca })
    t.is(before.ours.status === 'rejected' && codeOf(before.ours.reason), unknown)
    ca.push(root.cert)
    t.is((await start({ ca })).ours.status, 'fulfilled')
    // Bytes that were written anew.
    const bytes = Buffer.from(root.cert.padEnd(2_000, '\n'))
    t.is((await start({ ca: bytes })).ours.status, 'fulfilled')
    Buffer.from(other.cert.padEnd(2_000, '\n')).copy(bytes)
    const replaced = await start({ ca: bytes })
    t.is(replaced.ours.status === 'rejected' && codeOf(replaced.ours.reason), unknown)
    // And contexts.
    const contexts: Record<string, typeof identity> = { localhost: other.issue() }
    const named = await start({ ca: root.cert }, { contexts })
    t.is(named.ours.status === 'rejected' && codeOf(named.ours.reason), unknown)
    contexts['localhost'] = identity
    t.is((await start({ ca: root.cert }, { contexts })).ours.status, 'fulfilled')
    // The same options, given anew, resume sessions.
    const again = (): object => ({ ca: [Buffer.from(root.cert)] })
    const { served, dialed: first } = await start(again())
    // Tickets stand before what the server sends.
    served.writer.writeByte(1)
    await served.writer.flush()
    await first.reader.fill(1)
    const { dialed } = await start(again())
    t.is(dialed.tls?.sessionReused, true)
    t.is(dialed.tls?.authorized, true)
  })
}

const { setDefaultCACertificates } = nodeTls as typeof nodeTls & {
  readonly setDefaultCACertificates?: (certificates: readonly string[]) => void
}

// From Node.js 22.19 and 24.5 on.
if (setDefaultCACertificates !== undefined) {
  test.serial('authorities that are set as those of Node.js count from then on', async (t) => {
    const server = createServer({ framing, tls: { ...identity, ...patient } }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const start = await streams(t, 0)
    const dial = (): Promise<Connection> =>
      new Dialer({ framing, tls: { servername: 'localhost' } }).dial(targetOf(server))
    for (const [certificates, expected] of [
      [[other.cert], unknown],
      [[other.cert, root.cert], undefined],
      [[], unknown],
      [[root.cert], undefined],
    ] as const) {
      setDefaultCACertificates(certificates)
      const { ours } = await start({})
      t.is(ours.status === 'rejected' ? codeOf(ours.reason) : undefined, expected)
      if (expected === undefined) await gone(await dial())
      else t.is(codeOf(await rejection(dial())), expected)
    }
  })
}
