import type { PeerCertificate } from 'node:tls'

import type { ConnectionCore } from '../connection/core'
import { NetpollError } from '../errors'
import type { ClientSecurity } from '../tls/secure-context'
import type { AttemptOutcome, StartTimer } from './happy-eyeballs'

/** Waits for the handshake of a connection that exists; `follow` is given what is to be told of it. */
export function handshakeOf(
  connection: ConnectionCore,
  timeout: number,
  startTimer: StartTimer,
  follow: (outcome: AttemptOutcome<ConnectionCore>) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = (): void => {
      const error = new NetpollError(
        'ERR_DIAL_TIMEOUT',
        'The TLS handshake was not done within connectTimeout',
      )
      reject(error)
      connection.destroy(error)
    }
    const stopTimer = timeout === 0 ? (): void => {} : startTimer(timeout, late)
    follow({
      connected: () => {
        stopTimer()
        resolve()
      },
      failed: (error) => {
        stopTimer()
        reject(error)
      },
    })
  })
}

/**
 * Why a server is refused whose certificate is not for its name; `undefined` where it is for it. Without
 * `rejectUnauthorized` no server is refused, and `connection.tls` tells. Never throws: user code may compare the names.
 */
export function nameFault(
  security: ClientSecurity,
  connection: ConnectionCore,
  host: string | undefined,
): unknown {
  try {
    const certificate = connection.socket.tls?.peerCertificate
    if (certificate === undefined) return undefined
    const legacy = certificate.toLegacyObject() as PeerCertificate
    const found = security.nameFault(host ?? 'localhost', legacy)
    if (found === undefined) return undefined
    const { code, message } = found as { readonly code?: unknown; readonly message: string }
    if (security.rejectsUnauthorized) {
      return typeof code === 'string' ? new NetpollError(code, message, { cause: found }) : found
    }
    connection.socket.noteNameFault(typeof code === 'string' ? code : message)
    return undefined
  } catch (error) {
    return error ?? new NetpollError('ERR_TLS_CERT_ALTNAME_INVALID', 'checkServerIdentity has thrown nothing')
  }
}
