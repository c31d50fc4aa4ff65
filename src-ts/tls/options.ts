import type { PeerCertificate } from 'node:tls'

import { optionNames } from '../checks/known-options'

/** PEM, as Node.js takes it: one text, or several. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[]

/** A version of TLS. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

/** A key and its certificates. */
export interface TlsCredentials {
  /** The private key in PEM, encrypted or not. */
  readonly key: string | Uint8Array
  /** Its certificate in PEM, with those that lead to a root behind it. */
  readonly cert: Pem
  /** What an encrypted key opens with. */
  readonly passphrase?: string | undefined
}

/** Options of TLS that servers and clients have. The names are those of `node:tls`. */
export interface TlsOptions {
  /** The private key in PEM, encrypted or not. */
  readonly key?: string | Uint8Array | undefined
  /** Its certificate in PEM, with those that lead to a root behind it. */
  readonly cert?: Pem | undefined
  /** What an encrypted key opens with. */
  readonly passphrase?: string | undefined
  /** Whom to trust, in PEM. A client's default are the roots that Node.js knows; a server has none. */
  readonly ca?: Pem | undefined
  /** Whether a chain may end at a certificate in `ca` that another issued. Default false. */
  readonly allowPartialTrustChain?: boolean | undefined
  /** Names of ciphers as OpenSSL has them, separated by colons, in the order of preference. Default: all that are safe. */
  readonly ciphers?: string | undefined
  /** Names of application protocols, in the order of preference. */
  readonly ALPNProtocols?: readonly (string | Uint8Array)[] | undefined
  /** The lowest version. Default `'TLSv1.2'`. */
  readonly minVersion?: TlsVersion | undefined
  /** The highest version. Default `'TLSv1.3'`. */
  readonly maxVersion?: TlsVersion | undefined
  /** Whether a peer is refused whose certificate is not trusted. Default true. */
  readonly rejectUnauthorized?: boolean | undefined
}

/** The option `tls` of servers. */
export interface ServerTlsOptions extends TlsOptions {
  /** Whether clients are asked for certificates. Those without a trusted one are refused, unless `rejectUnauthorized` is false. */
  readonly requestCert?: boolean | undefined
  /** Certificates for names that clients ask for. A name may begin with `*.`. */
  readonly contexts?: Readonly<Record<string, TlsCredentials>> | undefined
  /** Milliseconds that a handshake may take; 0 for ever. Default 10,000. */
  readonly handshakeTimeout?: number | undefined
  /** Is told of each handshake that has failed. No hook learns of such a connection. */
  readonly onHandshakeError?: ((error: Error) => void) | undefined
}

/** The option `tls` of dialers. */
export interface ClientTlsOptions extends TlsOptions {
  /**
   * The name that the server is asked for, and has to prove. Other scripts are converted to punycode. An IP address is not
   * asked for. Default: the host that is dialed. Empty: none is asked for.
   */
  readonly servername?: string | undefined
  /**
   * Compares the name with the certificate; returns what is wrong. Default: `checkServerIdentity` of `node:tls`. It is
   * asked after each handshake, before `dial` resolves.
   */
  readonly checkServerIdentity?:
    | ((host: string, certificate: PeerCertificate) => Error | undefined)
    | undefined
  /** Destinations whose sessions are kept to be resumed. Default 100. */
  readonly maxCachedSessions?: number | undefined
}

const sharedTlsNames = {
  key: true,
  cert: true,
  passphrase: true,
  ca: true,
  allowPartialTrustChain: true,
  ciphers: true,
  ALPNProtocols: true,
  minVersion: true,
  maxVersion: true,
  rejectUnauthorized: true,
} as const

/** Of the option `tls` of servers. */
export const serverTlsNames = optionNames<ServerTlsOptions>({
  ...sharedTlsNames,
  requestCert: true,
  contexts: true,
  handshakeTimeout: true,
  onHandshakeError: true,
})

/** Of the option `tls` of dialers. */
export const clientTlsNames = optionNames<ClientTlsOptions>({
  ...sharedTlsNames,
  servername: true,
  checkServerIdentity: true,
  maxCachedSessions: true,
})

/** Of what a name has. */
export const credentialNames = optionNames<TlsCredentials>({ key: true, cert: true, passphrase: true })

/** Options of `node:tls` that this package does not take, and what to do instead. */
export const foreignTlsNames: Readonly<Record<string, string>> = Object.assign(Object.create(null), {
  pfx: 'is not taken: give key and cert in PEM, which "openssl pkcs12 -nodes" makes of it',
  secureContext: 'is not taken: give the options that it was made of',
  secureProtocol: 'is not taken: give minVersion and maxVersion',
  secureOptions: 'is not taken: give minVersion and maxVersion',
  crl: 'is not taken: look at connection.tls.peerCertificate in onPrepare',
  dhparam: 'is not taken: keys are exchanged by elliptic curves alone',
  ecdhCurve: 'is not taken: X25519, P-256 and P-384 are offered',
  sigalgs: 'is not taken: all that are safe are offered',
  honorCipherOrder: 'is not taken: the order of ciphers counts',
  ticketKeys: 'is not taken: each process makes its own',
  session: 'is not taken: a dialer keeps sessions itself, see maxCachedSessions',
  sessionTimeout: 'is not taken: tickets last for 12 hours at most',
  sessionIdContext: 'is not taken: sessions of a server are its own',
  SNICallback: 'is not taken: give contexts, or call server.addContext',
  ALPNCallback: 'is not taken: give ALPNProtocols',
  pskCallback: 'is not taken: certificates alone are supported',
  requestOCSP: 'is not taken: OCSP is not supported',
  enableTrace: 'is not taken',
  clientCertEngine: 'is not taken: give key and cert in PEM',
  privateKeyEngine: 'is not taken: give key and cert in PEM',
  privateKeyIdentifier: 'is not taken: give key and cert in PEM',
  keylog: 'is not taken',
})
