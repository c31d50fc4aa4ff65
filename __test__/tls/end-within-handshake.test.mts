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
import { type Alert, endEncrypted } from '../support/tls12-end.mjs'

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

const fatal: readonly Alert[] = [[2, 40]]
const encryptedEnds: { readonly [name: string]: readonly Alert[] } = {
  'by a word': [[1, 0]],
  'as one that cancels': [
    [1, 90],
    [1, 0],
  ],
  'by an alert': fatal,
}

function isEnded(t: ExecutionContext, error: unknown): void {
  t.is(codeOf(error), 'ECONNRESET')
  t.is((error as Error).message, 'The peer ended the connection before the TLS handshake was done')
}

type Version = 'TLSv1.2' | 'TLSv1.3'

interface Given {
  readonly place: Place
  /** What the peer does, to which our end is to be gone. */
  readonly end: (peer: Peer) => Promise<void>
}

interface InPlain {
  readonly place: Place
  readonly version: Version
  /** Whether the peer begins the handshake. */
  readonly begins: boolean
  readonly end: Buffer
}

/** The peer's part: it ends TLS, and learns that our end has gone. */
async function endTls(t: ExecutionContext, peer: Peer, { end }: Given): Promise<void> {
  await end(peer)
  await peer.readToEnd()
  t.false(peer.socket.writableEnded)
}

async function endInPlain(peer: Peer, { place, version, begins, end }: InPlain): Promise<void> {
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

/** By the handshake of a server or dialer, and of `startTls`. */
const ways = {
  'a handshake': (t: ExecutionContext, given: Given) =>
    given.place.side === 'server' ? servedBy(t, given) : dialedBy(t, given),
  'the handshake of startTls': upgradedBy,
} as const

for (const [what, way] of Object.entries(ways)) {
  for (const place of places) {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      for (const begins of [false, true]) {
        for (const [name, end] of Object.entries(ends)) {
          const given = { place, version, begins, end }
          const title = `${name}, ${begins ? 'in the middle' : 'at once'}: ${words(place)}, ${version}`

          test(`a peer ends ${what} ${title}`, async (t) => {
            isEnded(t, await way(t, { place, end: (peer) => endInPlain(peer, given) }))
          })
        }
      }
    }

    // In TLS 1.3 keys are there before a server's first flight is over, and an alert then ends it for the library, too.
    for (const [name, alerts] of Object.entries(encryptedEnds)) {
      test(`a peer ends ${what} ${name}, encrypted, where it was to finish: ${words(place)}`, async (t) => {
        const role = place.side === 'server' ? 'client' : 'server'
        const error = await way(t, { place, end: (peer) => endEncrypted(peer, role, identity, alerts) })
        if (alerts !== fatal) isEnded(t, error)
        else t.is((error as Error).message, 'The peer has sent the TLS alert handshake_failure (40)')
      })
    }
  }
}
