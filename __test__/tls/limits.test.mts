import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import test from 'ava'

import { createServer, Dialer, type Drop, type FramedServerOptions } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { framing, targetOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const client = { framing, tls: { ca: root.cert, servername: 'localhost' } }

for (const pollers of [0, 1, 2]) {
  for (const transport of ['tcp', 'unix'] as const) {
    for (const watched of ['onDrop', 'stats'] as const) {
      const name = `${watched}, pollers ${pollers}, ${transport}`
      test(`connections in their handshake count against maxConnections: ${name}`, async (t) => {
        const drops = new Inbox<Drop>()
        const errors = new Inbox<Error>()
        const options: FramedServerOptions = {
          framing,
          pollers,
          tls: { ...identity, ...patient, onHandshakeError: errors.push },
          maxConnections: 2,
          ...(watched === 'onDrop' && { onDrop: drops.push }),
        }
        const server = createServer(options, (request) => request)
        t.teardown(() => server.close({ timeout: 0 }))
        await server.listen(placeOf(t, transport))
        const target = targetOf(server)
        const standing = await new Dialer(client).dial(target)
        // A client is through its handshake before the server is, which counts it then.
        t.is(String(await standing.call('first')), 'first')
        const open = async (): Promise<Socket> => {
          const socket = 'path' in target ? connect(target) : connect(target)
          socket.on('error', () => {})
          t.teardown(() => socket.destroy())
          await once(socket, 'connect')
          return socket
        }
        const silent = await open()
        while (server.stats().tls?.handshaking !== 1) await new Promise(setImmediate)
        const third = await open()
        await once(third.resume(), 'close')
        // A poller on a thread has closed it before this thread is told.
        while (server.stats().dropped === 0) await new Promise(setImmediate)
        if (watched === 'onDrop') {
          const drop = await drops.take()
          t.not(drop.localAddress, undefined)
          t.not(drop.remoteAddress, undefined)
        }
        t.like(server.stats(), {
          connections: 1,
          accepted: 1,
          dropped: 1,
          tls: { handshaking: 1, failed: 0 },
        })
        t.is(String(await standing.call('served')), 'served')
        silent.destroy()
        await errors.take()
        t.like(server.stats(), { tls: { handshaking: 0, failed: 1 } })
        const fourth = await new Dialer(client).dial(target)
        t.is(String(await fourth.call('served, too')), 'served, too')
        t.like(server.stats(), { connections: 2, accepted: 2, dropped: 1 })
        await Promise.all([standing.close(), fourth.close()])
        await server.close()
      })
    }
  }
}

test('a server without TLS counts no handshakes', async (t) => {
  const server = createServer({ framing, maxConnections: 1 }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  t.false('tls' in server.stats())
})

test('failed handshakes are told to the hook that was set last', async (t) => {
  const first = new Inbox<Error>()
  const last = new Inbox<Error>()
  const tls = { ...identity, ...patient, onHandshakeError: first.push }
  const server = createServer({ framing, tls }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, 'tcp'))
  const garbage = (): void => {
    const socket = connect(targetOf(server) as { readonly port: number })
    t.teardown(() => socket.destroy())
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\n\r\n')
  }
  garbage()
  await first.take()
  server.setSecureContext({ onHandshakeError: last.push })
  t.throws(() => server.setSecureContext({ onHandshakeError: 1 as never }), { code: 'ERR_INVALID_ARG_TYPE' })
  garbage()
  const error = await Promise.race([last.take(), first.take().then(() => undefined)])
  t.not(error, undefined)
})

for (const pollers of [0, 1, 2]) {
  test(`the time of handshakes is replaced with the rest: pollers ${pollers}`, async (t) => {
    const errors = new Inbox<Error>()
    const tls = { ...identity, handshakeTimeout: 0, onHandshakeError: errors.push }
    const server = createServer({ framing, pollers, tls }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, 'tcp'))
    server.setSecureContext({ handshakeTimeout: 1 })
    const silent = connect(targetOf(server) as { readonly port: number }).on('error', () => {})
    t.teardown(() => silent.destroy())
    const error = await errors.take()
    t.is((error as { readonly code?: unknown }).code, 'ERR_TLS_HANDSHAKE_TIMEOUT')
  })
}
