import test from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, rejection, targetOf } from '../support/netpoll.mjs'
import { places, words } from '../support/places.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const tls = { ca: root.cert, servername: 'localhost', ...patient }

for (const place of places) {
  for (const [name, ask] of [
    ['end', (connection: Connection) => connection.end()],
    ['retire', (connection: Connection) => connection.retire()],
  ] as const) {
    test(`what is asked of a connection that goes over to TLS is done then: ${name}, ${words(place)}`, async (t) => {
      const accepted = new Inbox<Connection>()
      const { side, pollers, transport } = place
      const server = createServer({ pollers, onConnect: accepted.push })
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen(placeOf(t, transport))
      const dialed = await new Dialer({ pollers }).dial(targetOf(server))
      t.teardown(() => dialed.destroy())
      const served = await accepted.take()
      const [asked, peer] = side === 'server' ? [served, dialed] : [dialed, served]
      const closed = new Promise<void>((resolve) => void asked.onClose(resolve))

      const secured = Promise.all([served.startTls({ ...identity, ...patient }), dialed.startTls(tls)])
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
    const accepted = new Inbox<Connection>()
    const { side, pollers, transport } = place
    const server = createServer({ pollers, onConnect: accepted.push })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const dialed = await new Dialer({ pollers }).dial(targetOf(server))
    t.teardown(() => dialed.destroy())
    const served = await accepted.take()
    const asked = side === 'server' ? served : dialed
    const isRefused = (): void => {
      t.throws(() => asked.detach(), {
        code: 'ERR_UNSUPPORTED',
        message: 'A connection with TLS cannot be given away',
      })
    }

    const secured = Promise.all([served.startTls({ ...identity, ...patient }), dialed.startTls(tls)])
    isRefused()
    await secured
    isRefused()
    asked.destroy()
    t.throws(() => asked.detach(), { code: 'ERR_CONN_CLOSED' })
  })
}
