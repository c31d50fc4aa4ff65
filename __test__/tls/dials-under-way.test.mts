// A dial goes by the options of TLS with which it has begun, whatever becomes of those of its dialer meanwhile.

import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { connect as connectTo, createServer as createNetServer, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import {
  type ClientTlsOptions,
  type Connection,
  createServer,
  Dialer,
  type DialOptions,
} from '../../dist/index.mjs'
import { Authority, ofClient, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { type NetTarget, placeOf } from '../support/listeners.mjs'
import { codeOf, framing, rejection } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const client = root.issue({ name: 'first', extensions: ofClient })
const other = root.issue({ name: 'second', extensions: ofClient })
const stranger = new Authority({ name: 'stranger' })

/** Replaces whatever a dialer may go by. */
type Replace = () => void

/** How a dialer comes to a connection, and when it is given other options meanwhile. */
type Course = (
  dialer: Dialer,
  target: NetTarget,
  held: Inbox<Socket>,
  replace: Replace,
) => Promise<Connection>

/** A path is not looked up. */
const byName = 'while it looks the name up'

const courses: Readonly<Record<string, Course>> = {
  [byName]: async (dialer, target, _held, replace) => {
    const { host: address, port } = target as { readonly host: string; readonly port: number }
    const asked = new Inbox<(error: null, addresses: LookupAddress[]) => void>()
    const lookup = ((_name, _options, told) => asked.push(told as never)) as DialOptions['lookup']
    const dial = dialer.dial({ host: 'server.test', port, lookup })
    const answer = await asked.take()
    replace()
    answer(null, [{ address, family: 4 }])
    return await dial
  },
  'in its turn': async (dialer, target, _held, replace) => {
    const dial = dialer.dial(target)
    replace()
    return await dial
  },
  'in its handshake': async (dialer, target, held, replace) => {
    const dial = dialer.dial(target)
    await held.take()
    replace()
    return await dial
  },
  'of a socket': async (dialer, target, _held, replace) => {
    const plain = await new Dialer().dial(target)
    const taken = dialer.fromFd(plain.detach())
    replace()
    return await taken
  },
}

/** A server with TLS behind another that tells of each connection, and goes on with it a turn later. */
async function relayed(t: ExecutionContext, kind: 'tcp' | 'unix') {
  const seen = new Inbox<Connection>()
  const tls = { ...identity, ...patient, ca: root.cert, requestCert: true }
  const server = createServer({ framing, tls, onConnect: seen.push }, (message) => message)
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.address() as { readonly port: number }
  const held = new Inbox<Socket>()
  const ends: Socket[] = []
  const relay = createNetServer((socket) => {
    const onward = connectTo({ host: '127.0.0.1', port })
    ends.push(socket, onward)
    for (const end of [socket, onward]) end.on('error', () => {})
    socket.once('data', (hello) => {
      held.push(socket)
      setImmediate(() => {
        onward.write(hello)
        socket.pipe(onward).pipe(socket)
      })
    })
  })
  t.teardown(async () => {
    relay.close()
    // One whose other end is gone is no longer read, and so would never end.
    for (const end of ends) end.destroy()
    await server.close({ timeout: 0 })
  })
  const place = placeOf(t, kind)
  relay.listen(place)
  await once(relay, 'listening')
  const address = relay.address()
  const target: NetTarget =
    typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: address?.port ?? 0 }
  return { target, held, seen }
}

for (const pollers of [0, 1, 2]) {
  for (const kind of ['tcp', 'unix'] as const) {
    for (const [name, course] of Object.entries(courses)) {
      if (kind === 'unix' && name === byName) continue
      const title = `${name}, pollers ${pollers}, ${kind}`
      test(`a dial goes by the options with which it has begun: ${title}`, async (t) => {
        const { target, held, seen } = await relayed(t, kind)
        const asked: string[] = []
        const checks = (by: string, fault?: Error) => (host: string) => {
          asked.push(`${by} ${host}`)
          return fault
        }
        const begun = {
          ca: root.cert,
          servername: 'localhost',
          ...client,
          checkServerIdentity: checks('begun'),
        }
        const later: ClientTlsOptions = {
          ...{ ca: stranger.cert, servername: 'elsewhere', ...other },
          checkServerIdentity: checks('later', new Error('another')),
        }
        const dialer = new Dialer({ framing, pollers, tls: begun })
        const connection = await course(dialer, target, held, () => dialer.setSecureContext(later))
        const accepted = await seen.take()
        t.teardown(() => connection.destroy())
        t.deepEqual(asked, ['begun localhost'])
        t.is(accepted.tls?.servername, 'localhost')
        t.is(accepted.tls?.peerCertificate?.subject, 'CN=first')
        // The next one knows nothing of them.
        t.is(codeOf(await rejection(dialer.dial(target))), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
        dialer.setSecureContext({ ca: root.cert })
        t.is(((await rejection(dialer.dial(target))) as Error).message, 'another')
        t.deepEqual(asked, ['begun localhost', 'later elsewhere'])
      })

      if (pollers > 0) continue
      test(`what a dial has begun with refuses, whatever comes: ${title}`, async (t) => {
        const { target, held } = await relayed(t, kind)
        const refusal = new Error('not this one')
        const tls = { ca: root.cert, servername: 'localhost', ...client, checkServerIdentity: () => refusal }
        const dialer = new Dialer({ framing, pollers, tls })
        const trusting = { rejectUnauthorized: false, checkServerIdentity: () => undefined }
        const dial = course(dialer, target, held, () => dialer.setSecureContext(trusting))
        t.is(await rejection(dial), refusal)
        const connection = await dialer.dial(target)
        t.true(connection.tls?.authorized)
        connection.destroy()
      })
    }
  }
}
