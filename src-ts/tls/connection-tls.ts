import { X509Certificate } from 'node:crypto'

import type { TlsAgreement } from '../native/binding'
import { faultCode } from '../native/tls-reasons'
import { cipherName } from './ciphers'
import type { TlsVersion } from './options'

/** What TLS has agreed on with the peer of a connection. */
export interface ConnectionTls {
  /** The version. */
  readonly protocol: TlsVersion
  /** The cipher, by the name of OpenSSL. */
  readonly cipher: string
  /** The application protocol, if the two ends have agreed on one. */
  readonly alpnProtocol: string | undefined
  /** The name that the client has asked for. */
  readonly servername: string | undefined
  /** Whether the peer has proved who it is. False for a client that was not asked. */
  readonly authorized: boolean
  /** Why not, by the codes of Node.js. */
  readonly authorizationError: string | undefined
  /** The peer's certificate. */
  readonly peerCertificate: X509Certificate | undefined
  /** Whether an earlier session was resumed. */
  readonly sessionReused: boolean
}

/** As users see it; `nameFault` is what is wrong with the name in the certificate, where that is no reason to end. */
export function connectionTls(agreement: TlsAgreement, nameFault: string | undefined): ConnectionTls {
  const { applicationProtocol, peerChain, fault, isVerified } = agreement
  const [own] = peerChain
  const error = fault === undefined ? nameFault : faultCode(fault)
  return Object.freeze({
    protocol: agreement.version === 13 ? 'TLSv1.3' : 'TLSv1.2',
    cipher: cipherName(agreement.cipher),
    alpnProtocol: applicationProtocol?.toString(),
    servername: agreement.serverName,
    authorized: isVerified && error === undefined,
    authorizationError: isVerified ? error : undefined,
    peerCertificate: own && new X509Certificate(own),
    sessionReused: agreement.isResumed,
  } satisfies ConnectionTls)
}
