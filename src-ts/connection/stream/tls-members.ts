import type { CipherNameAndProtocol, PeerCertificate } from 'node:tls'

import { standardCipherName } from '../../tls/ciphers'
import type { ConnectionTls } from '../../tls/connection-tls'

/** What `tls.TLSSocket` has beside the members of `net.Socket`, as far as libraries ask for it. */
export interface TlsMembers {
  /** Always true: a stream without TLS has no such member. */
  readonly encrypted: true
  /** See {@link ConnectionTls.authorized}. */
  readonly authorized: boolean
  /** See {@link ConnectionTls.authorizationError}; `null` where nothing is wrong. */
  readonly authorizationError: string | null
  /** The application protocol; `false` where there is none. */
  readonly alpnProtocol: string | false
  /** The name that the client has asked for; `false` where it has asked for none. */
  readonly servername: string | false
  /** The version. */
  getProtocol(): string
  /** The cipher. */
  getCipher(): CipherNameAndProtocol
  /** The peer's certificate, without those that have issued it; `{}` where it has shown none. */
  getPeerCertificate(): PeerCertificate | Record<string, never>
  /** Whether an earlier session was resumed. */
  isSessionReused(): boolean
}

/** Gives a stream these members. They are its own, because libraries take a stream that has one of them for encrypted. */
export function addTlsMembers(stream: object, tls: ConnectionTls): void {
  const members: TlsMembers = {
    encrypted: true,
    authorized: tls.authorized,
    authorizationError: tls.authorizationError ?? null,
    alpnProtocol: tls.alpnProtocol ?? false,
    servername: tls.servername ?? false,
    getProtocol: () => tls.protocol,
    getCipher: () => ({
      name: tls.cipher,
      standardName: standardCipherName(tls.cipher),
      version: tls.protocol,
    }),
    getPeerCertificate: () => (tls.peerCertificate?.toLegacyObject() ?? {}) as PeerCertificate,
    isSessionReused: () => tls.sessionReused,
  }
  for (const name of names) {
    Object.defineProperty(stream, name, { value: members[name], writable: true, configurable: true })
  }
}

/** Gives `stream` the members that `other` has. */
export function copyTlsMembers(other: object, stream: object): void {
  for (const name of names) {
    const descriptor = Reflect.getOwnPropertyDescriptor(other, name)
    if (descriptor !== undefined) Object.defineProperty(stream, name, descriptor)
  }
}

/** Takes them away from a stream that begins anew. */
export function removeTlsMembers(stream: object): void {
  for (const name of names) Reflect.deleteProperty(stream, name)
}

const names = [
  'encrypted',
  'authorized',
  'authorizationError',
  'alpnProtocol',
  'servername',
  'getProtocol',
  'getCipher',
  'getPeerCertificate',
  'isSessionReused',
] as const satisfies readonly (keyof TlsMembers)[]
