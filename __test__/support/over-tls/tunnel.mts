import net, { type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'

import { certificate, key } from '../tls.mjs'

const host = '127.0.0.1'

/** Leads to a port, and has TLS on one side: so programs that have none speak with this package. */
export interface Tunnel {
  readonly port: number
  /** Nobody may connect any more. Who has, may go on. */
  refuse(): void
  /** Ends it, with all its connections. */
  close(): void
}

/** Who speaks TLS with a tunnel: who calls, or who is called. */
export type SecureSide = 'callers' | 'target'

/** A socket, and the stream by which is read and written what it carries. */
interface End {
  readonly socket: net.Socket
  readonly stream: Duplex
}

/** The ends of programs are half open, too: what one side has ended, the other may still answer. */
const allowHalfOpen = true

function secureNear(socket: net.Socket): Duplex {
  const secureContext = tls.createSecureContext({ key, cert: certificate })
  return new tls.TLSSocket(socket, { isServer: true, secureContext })
}

function secureFar(socket: net.Socket): Duplex {
  return tls.connect({ socket, ca: certificate, servername: 'localhost' })
}

/** Passes on what one end says, and its failure as a reset, once. */
function passOn(from: End, to: End): void {
  from.stream.pipe(to.stream)
  let hasFailed = false
  const failed = (): void => {
    if (hasFailed) return
    hasFailed = true
    to.socket.resetAndDestroy()
  }
  for (const emitter of new Set([from.stream, from.socket])) emitter.on('error', failed)
}

/** Opens a tunnel to a port. Whoever ends what listens there has it refuse callers before. */
export async function openTunnel(target: number, secureSide: SecureSide): Promise<Tunnel> {
  const sockets = new Set<net.Socket>()
  const server = new net.Server({ allowHalfOpen })
  const refuse = (): void => void server.close()
  server.on('connection', (near) => {
    const far = new net.Socket({ allowHalfOpen }).connect({ host, port: target })
    for (const socket of [near, far]) {
      sockets.add(socket.setNoDelay())
      socket.once('close', () => sockets.delete(socket))
    }
    const caller = { socket: near, stream: secureSide === 'callers' ? secureNear(near) : near }
    const called = { socket: far, stream: secureSide === 'target' ? secureFar(far) : far }
    passOn(caller, called)
    passOn(called, caller)
  })
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve))
  const close = (): void => {
    refuse()
    for (const socket of sockets) socket.destroy()
  }
  return { port: (server.address() as AddressInfo).port, refuse, close }
}
