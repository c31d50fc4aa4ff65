import type { PeerCertificate } from 'node:tls'

import { NetpollError } from '../errors'
import type { ClientSecurity } from '../tls/secure-context'
import type { Socket } from './socket'

/**
 * Why a server is refused whose certificate is not for its name; `undefined` where it is for it. Without
 * `rejectUnauthorized` no server is refused, and `connection.tls` tells. Never throws: user code may compare the names.
 */
export function nameFault(
  security: ClientSecurity,
  socket: Pick<Socket, 'tls' | 'noteNameFault'>,
  host: string | undefined,
): unknown {
  try {
    const certificate = socket.tls?.peerCertificate
    if (certificate === undefined) return undefined
    const legacy = certificate.toLegacyObject() as PeerCertificate
    const found = security.nameFault(host ?? 'localhost', legacy)
    if (found === undefined) return undefined
    const { code, message } = found as { readonly code?: unknown; readonly message: string }
    if (security.rejectsUnauthorized) {
      return typeof code === 'string' ? new NetpollError(code, message, { cause: found }) : found
    }
    socket.noteNameFault(typeof code === 'string' ? code : message)
    return undefined
  } catch (error) {
    return error ?? new NetpollError('ERR_TLS_CERT_ALTNAME_INVALID', 'checkServerIdentity has thrown nothing')
  }
}
