// Which cipher two ends agree on by the option `ciphers`: the one that Node.js takes.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import nodeTls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { createServer, Dialer } from '../../dist/index.mjs'
import { patient } from '../support/certificates.mjs'
import { key, certificate as cert } from '../support/tls.mjs'
import { framing, portOf } from '../support/netpoll.mjs'

const host = '127.0.0.1'
const lists = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256:TLS_CHACHA20_POLY1305_SHA256',
]
const versions = ['TLSv1.2', 'TLSv1.3'] as const

/** What a client of Node.js agrees on with the server at `port`; no cipher where they have none in common. */
async function agreed(port: number, options: nodeTls.ConnectionOptions): Promise<string> {
  const socket = nodeTls.connect({ port, host, rejectUnauthorized: false, ...options })
  try {
    await once(socket, 'secureConnect')
    return `${socket.getProtocol()} ${socket.getCipher().name}`
  } catch {
    return 'none'
  } finally {
    socket.destroy()
  }
}

async function nodeServer(t: ExecutionContext, options: nodeTls.TlsOptions): Promise<number> {
  const server = nodeTls.createServer({ key, cert, ...options }, (socket) => socket.on('error', () => {}))
  t.teardown(() => server.close())
  server.on('tlsClientError', () => {})
  server.listen(0, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

for (const ciphers of lists) {
  test(`a server takes the cipher that one of Node.js takes: ${ciphers}`, async (t) => {
    const server = createServer({ framing, tls: { key, cert, ciphers, ...patient } }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host, port: 0 })
    const port = await nodeServer(t, { ciphers })
    for (const maxVersion of versions) {
      t.is(await agreed(portOf(server), { maxVersion }), await agreed(port, { maxVersion }), maxVersion)
    }
  })

  test(`a dialer offers what a client of Node.js offers: ${ciphers}`, async (t) => {
    for (const maxVersion of versions) {
      const port = await nodeServer(t, { maxVersion, honorCipherOrder: false })
      const tls = { ca: cert, servername: 'localhost', ciphers }
      const dialed = new Dialer({ framing, tls }).dial({ host, port }).then(
        async (connection) => {
          const { protocol, cipher } = connection.tls ?? {}
          await connection.close()
          return `${protocol} ${cipher}`
        },
        () => 'none',
      )
      t.is(await dialed, await agreed(port, { ciphers }), maxVersion)
    }
  })
}

const refused: readonly (readonly [ciphers: string, problem: RegExp])[] = [
  [':', /must name a cipher/],
  ['::', /must name a cipher/],
  ['AES128-SHA', /not supported/],
  ['TLS_AES_128_GCM_SHA256:ALL', /not supported/],
  ['!ECDHE-ECDSA-AES128-GCM-SHA256', /not supported/],
]

for (const [ciphers, message] of refused) {
  test(`a list of ciphers is refused: ${JSON.stringify(ciphers)}`, (t) => {
    const tls = { key, cert, ciphers }
    const code = 'ERR_INVALID_ARG_VALUE'
    t.throws(() => createServer({ framing, tls }, (request) => request), { code, message })
    t.throws(() => new Dialer({ framing, tls: { ciphers } }), { code, message })
  })
}
