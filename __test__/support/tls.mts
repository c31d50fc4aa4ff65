import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { connect, createServer, type TLSSocket } from 'node:tls'

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
