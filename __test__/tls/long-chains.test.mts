// A chain of certificates that is longer than this end takes: both ends are told what it is.

import { once } from 'node:events'
import nodeTls, { type TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, type Identity, ofClient, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, gone, rejection, targetOf } from '../support/netpoll.mjs'
import { type Place, places, words } from '../support/places.mjs'

const root = new Authority({ name: 'root' })
const ofServer = root.issue()
const own = root.issue({ name: 'client', extensions: ofClient })
/** Bytes of a certificate in a message, as long as in TLS 1.3. */
const size = Buffer.from(root.cert.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64').length + 5
const most = 65_535

/** With so many bytes of certificates, about. */
function longer({ key, cert }: Identity, bytes: number): Identity {
  return { key, cert: cert + root.cert.repeat(Math.floor(bytes / size)) }
}

interface Given {
  readonly place: Place
  readonly version: 'TLSv1.2' | 'TLSv1.3'
  readonly way: 'the option tls' | 'startTls'
  readonly bytes: number
}

/** What each end says of the handshake; `undefined` where it is done. */
interface Said {
  readonly ours: unknown
  readonly theirs: unknown
}

/** Why a socket of Node.js ends; `undefined` where its peer does, in order. */
async function endOf(socket: TLSSocket): Promise<unknown> {
  try {
    socket.on('error', () => {}).resume()
    await once(socket, 'end')
    return undefined
  } catch (error) {
    return error
  }
}

async function dialedBy(t: ExecutionContext, { place, version, way, bytes }: Given): Promise<Said> {
  const { pollers, transport } = place
  const theirs = new Inbox<unknown>()
  const options = { ...longer(ofServer, bytes), maxVersion: version }
  const server = nodeTls.createServer(options, async (socket) => theirs.push(await endOf(socket)))
  server.on('tlsClientError', theirs.push)
  t.teardown(() => server.close())
  const at = placeOf(t, transport)
  await new Promise<void>((resolve) => void server.listen(at, resolve))
  const target = 'path' in at ? at : { host: at.host, port: (server.address() as { port: number }).port }
  const tls = { ca: root.cert, servername: 'localhost' }
  const dial = async (): Promise<undefined> => {
    const dialer = new Dialer({ pollers, onError: () => {}, ...(way === 'the option tls' && { tls }) })
    const connection = await dialer.dial(target)
    t.teardown(() => gone(connection))
    if (way === 'startTls') await connection.startTls({ ...tls, ...patient })
    await connection.close()
  }
  const ours = await dial().catch((error: unknown) => error)
  return { ours, theirs: await theirs.take() }
}

async function servedBy(t: ExecutionContext, { place, version, way, bytes }: Given): Promise<Said> {
  const { pollers, transport } = place
  const ours = new Inbox<unknown>()
  const tls = { ...ofServer, ca: root.cert, requestCert: true, ...patient }
  const secured = async (connection: Connection): Promise<void> => {
    try {
      if (way === 'startTls') await connection.startTls({ ...tls, unread: 'handshake' })
      ours.push(undefined)
      void connection.close()
    } catch (error) {
      ours.push(error)
    }
  }
  const server = createServer({
    pollers,
    onConnect: (connection) => void secured(connection),
    onError: () => {},
    ...(way === 'the option tls' && { tls: { ...tls, onHandshakeError: ours.push } }),
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const options = { ca: root.cert, servername: 'localhost', maxVersion: version, ...longer(own, bytes) }
  const socket = nodeTls.connect({ ...targetOf(server), ...options })
  t.teardown(() => socket.destroy())
  const theirs = endOf(socket)
  return { ours: await ours.take(), theirs: await theirs }
}

/**
 * What a peer sees that has sent too much. A server waits for its end; others close, which a peer may see that still writes. Not
 * on Linux, whose sockets take all of a chain at once.
 */
function seenAt({ side }: Place, way: Given['way']): RegExp {
  const waits = side === 'server' && way === 'the option tls'
  return waits || process.platform === 'linux' ? decodeError : /ALERT_DECODE_ERROR$|^EPIPE$|^ECONNRESET$/
}

const decodeError = /^ERR_SSL_(TLSV1_|SSLV3_|SSL\/TLS_)?ALERT_DECODE_ERROR$/

for (const place of places) {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const way of ['the option tls', 'startTls'] as const) {
      const talk = place.side === 'dialed' ? dialedBy : servedBy

      test(`a chain that is too long is told as one: ${way}, ${words(place)}, ${version}`, async (t) => {
        for (const bytes of [most + 3 * size, 95_000]) {
          const { ours, theirs } = await talk(t, { place, version, way, bytes })
          t.is(codeOf(ours), 'ERR_TLS_PROTOCOL')
          t.is(
            (ours as Error).message,
            'The peer has sent a TLS handshake message of more than 64 KiB, such as one with its certificates, or in too many records',
          )
          t.regex(String(codeOf(theirs)), seenAt(place, way))
        }
        const { ours, theirs } = await talk(t, { place, version, way, bytes: most - 3 * size })
        t.deepEqual([ours, theirs], [undefined, undefined])
      })
    }
  }
}

test('between two ends of ours the one is told the alert of the other', async (t) => {
  const errors = new Inbox<Error>()
  const tls = { ...longer(ofServer, most + 3 * size), ...patient, onHandshakeError: errors.push }
  const server = createServer({ tls, onConnect: () => {} })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { ca: root.cert, servername: 'localhost', maxVersion }
    const dialed = await rejection(new Dialer({ tls: options }).dial(targetOf(server)))
    t.regex((dialed as Error).message, /more than 64 KiB/)
    t.is((await errors.take()).message, 'The peer has sent the TLS alert decode_error (50)')
  }
})
