// A peer that says within a handshake that it ends TLS, and keeps its socket: nothing more can come, and nobody waits for it.

import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, connectPeer, framing, gone, rejection, targetOf } from '../support/netpoll.mjs'
import type { Peer } from '../support/peer.mjs'
import { rawServer } from '../support/placed.mjs'
import { type Place, places, words } from '../support/places.mjs'
import { answerTo, helloOf } from '../support/tls.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const trust = { ca: root.cert, servername: 'localhost' }
const closeNotify = Buffer.from([21, 3, 3, 0, 2, 1, 0])
/** What a peer may say before it cancels a handshake (RFC 8446, 6.1). */
const userCanceled = Buffer.from([21, 3, 3, 0, 2, 1, 90])

/** What a peer sends in place of the rest of a handshake. */
const ends: { readonly [name: string]: Buffer } = {
  'by a word': closeNotify,
  'as one that cancels': Buffer.concat([userCanceled, closeNotify]),
}

function isEnded(t: ExecutionContext, error: unknown): void {
  t.is(codeOf(error), 'ECONNRESET')
  t.is((error as Error).message, 'The peer ended the connection before the TLS handshake was done')
}

type Version = 'TLSv1.2' | 'TLSv1.3'

interface Given {
  readonly place: Place
  readonly version: Version
  /** Whether the peer begins the handshake. */
  readonly begins: boolean
  readonly end: Buffer
}

/** The peer's part: it ends TLS, and learns that our end has gone. */
async function endTls(t: ExecutionContext, peer: Peer, given: Given): Promise<void> {
  const { place, version, begins, end } = given
  let begun: Buffer = Buffer.alloc(0)
  if (place.side === 'dialed') {
    const header = await peer.read(5)
    const hello = Buffer.concat([header, await peer.read(header.readUInt16BE(3))])
    // The first record alone.
    if (begins) begun = recordOf(await answerTo(hello, identity, version))
  } else if (begins) {
    await peer.write(await helloOf(version))
    // Ours has answered by now.
    await peer.read(1)
  }
  await peer.write(Buffer.concat([begun, end]))
  await peer.readToEnd()
  t.false(peer.socket.writableEnded)
}

function recordOf(bytes: Buffer): Buffer {
  return bytes.subarray(0, 5 + bytes.readUInt16BE(3))
}

async function dialedBy(t: ExecutionContext, given: Given) {
  const { pollers, transport } = given.place
  const { target, peers } = await rawServer(t, transport)
  const dialed = rejection(new Dialer({ framing, pollers, connectTimeout: 0, tls: trust }).dial(target))
  const peer = await peers.take()
  await endTls(t, peer, given)
  return dialed
}

async function servedBy(t: ExecutionContext, given: Given) {
  const { pollers, transport } = given.place
  const errors = new Inbox<Error>()
  const server = createServer({
    framing,
    pollers,
    tls: { ...identity, ...patient, onHandshakeError: errors.push },
    onConnect: () => t.fail('no handshake is done'),
    onRequest: (request) => request,
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  await endTls(t, await connectPeer(t, targetOf(server)), given)
  return errors.take()
}

async function upgradedBy(t: ExecutionContext, given: Given) {
  const { side, pollers, transport } = given.place
  const connections = new Inbox<Connection>()
  let peer: Peer
  if (side === 'server') {
    const server = createServer({ pollers, onConnect: connections.push, onError: () => {} })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    peer = await connectPeer(t, targetOf(server))
  } else {
    const { target, peers } = await rawServer(t, transport)
    connections.push(await new Dialer({ pollers, onError: () => {} }).dial(target))
    peer = await peers.take()
  }
  const connection = await connections.take()
  t.teardown(() => gone(connection))
  const own = { ...(side === 'server' ? identity : trust), ...patient }
  // Without `lastPlaintext` the peer may be faster.
  const secured = rejection(connection.startTls({ ...own, unread: 'handshake' }))
  await endTls(t, peer, given)
  return secured
}

for (const place of places) {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const begins of [false, true]) {
      for (const [name, end] of Object.entries(ends)) {
        const given = { place, version, begins, end }
        const title = `${name}, ${begins ? 'in the middle' : 'at once'}: ${words(place)}, ${version}`

        test(`a peer ends a handshake ${title}`, async (t) => {
          const way = place.side === 'server' ? servedBy : dialedBy
          isEnded(t, await way(t, given))
        })

        test(`a peer ends the handshake of startTls ${title}`, async (t) => {
          isEnded(t, await upgradedBy(t, given))
        })
      }
    }
  }
}
