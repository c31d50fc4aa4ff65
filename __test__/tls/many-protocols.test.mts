import test from 'ava'

import { createServer, Dialer } from '../../dist/index.mjs'
import { Authority } from '../support/certificates.mjs'
import { codeOf, framing, rejection, serve } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
/** 128 names that take 256 bytes each. */
const most = Array.from({ length: 128 }, (_, index) => `${index}`.padStart(255, 'x'))

test('a dial may name so many protocols that its first message holds them', async (t) => {
  const { port } = await serve(t, { tls: { ...identity, ALPNProtocols: most } }, (request) => request)
  const tls = { ca: root.cert, servername: 'localhost', ALPNProtocols: most }
  const connection = await new Dialer({ framing, tls }).dial({ host: '127.0.0.1', port })
  t.is(connection.tls?.alpnProtocol, most[0])
  await connection.close()
})

test('more are refused when they are given, and not by a dial', async (t) => {
  const expected = { instanceOf: TypeError, code: 'ERR_INVALID_ARG_VALUE', message: /ALPNProtocols/ }
  for (const ALPNProtocols of [[...most, 'x'], Array.from({ length: 16_385 }, () => 'x')]) {
    t.throws(() => new Dialer({ tls: { ca: root.cert, ALPNProtocols } }), expected)
    t.throws(() => createServer({ tls: { ...identity, ALPNProtocols } }), expected)
    const { port } = await serve(t, {}, (request) => request)
    const plain = await new Dialer().dial({ host: '127.0.0.1', port })
    t.is(codeOf(await rejection(plain.startTls({ ca: root.cert, ALPNProtocols }))), 'ERR_INVALID_ARG_VALUE')
    await plain.close()
  }
})
