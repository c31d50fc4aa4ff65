import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Duplex } from 'node:stream'
import { connect, createServer, type SecureVersion, TLSSocket } from 'node:tls'

import type { Identity } from './certificates.mjs'
import { Inbox } from './deferred.mjs'

// A key pair of its own for the tests, made once by
// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost
// -addext subjectAltName=DNS:localhost,IP:127.0.0.1
const pem = (name: string): string =>
  readFileSync(new URL(`../../__test__/fixtures/tls/${name}.pem`, import.meta.url), 'utf8')

export const key = pem('key')
export const certificate = pem('certificate')

/** One side of TLS over `socket`, once both have shaken hands. */
export async function secure(socket: Duplex, side: 'server' | 'client'): Promise<TLSSocket> {
  if (side === 'server') {
    const server = createServer({ key, cert: certificate })
    const secured = once(server, 'secureConnection') as Promise<[TLSSocket]>
    server.emit('connection', socket)
    return (await secured)[0]
  }
  const tls = connect({ socket, ca: certificate, servername: 'localhost' })
  await once(tls, 'secureConnect')
  return tls
}

/** A stream in the place of a socket, and what is written to it. */
function wire(): { readonly stream: Duplex; readonly written: Inbox<Buffer> } {
  const written = new Inbox<Buffer>()
  const stream = new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      written.push(bytes)
      done()
    },
  })
  return { stream, written }
}

/** The first bytes of a client of TLS. */
export async function helloOf(version: SecureVersion, servername = 'localhost'): Promise<Buffer> {
  const { stream, written } = wire()
  const client = connect({
    socket: stream,
    servername,
    minVersion: version,
    maxVersion: version,
  })
  client.on('error', () => {})
  const hello = await written.take()
  client.destroy()
  return hello
}

/** What a server's end of TLS answers to a client's first bytes. */
export async function answerTo(
  hello: Buffer,
  identity: Identity,
  maxVersion: SecureVersion = 'TLSv1.3',
): Promise<Buffer> {
  const { stream, written } = wire()
  const { key: ownKey, cert } = identity
  const server = new TLSSocket(stream, { isServer: true, key: ownKey, cert, maxVersion })
  server.on('error', () => {})
  stream.push(hello)
  const answer = await written.take()
  server.destroy()
  return answer
}
