import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as tls from 'node:tls'

import { certificatesOf } from './pem'

/** What newer versions of Node.js have. */
type WithDefaults = typeof tls & {
  readonly getCACertificates?: ((type: 'default') => readonly string[]) | undefined
}

/** What Node.js has said, and that in DER. */
let known: { readonly said: readonly string[]; readonly roots: readonly Buffer[] } | undefined

/**
 * The authorities that Node.js trusts, in DER: the same list until others are set, by `tls.setDefaultCACertificates`. Node.js
 * has one list, too, which is read once.
 */
export function defaultRoots(): readonly Buffer[] {
  const { getCACertificates, rootCertificates } = tls as WithDefaults
  const said = getCACertificates?.('default')
  if (said === undefined) {
    known ??= { said: rootCertificates, roots: [...certificatesOf('ca', rootCertificates), ...extraRoots()] }
  } else if (known?.said !== said) {
    known = { said, roots: said.length === 0 ? [] : certificatesOf('ca', said) }
  }
  return known.roots
}

function extraRoots(): readonly Buffer[] {
  const { NODE_EXTRA_CA_CERTS: file } = process.env
  if (file === undefined || file === '') return []
  try {
    const found = certificatesOf('ca', readFileSync(file, 'latin1'))
    // As OpenSSL reads such a file.
    const end = found.findIndex((der) => !isCertificate(der))
    return end < 0 ? found : found.slice(0, end)
  } catch {
    // There is no such file, or no certificate in it: Node.js has warned of it when it started.
    return []
  }
}

function isCertificate(der: Uint8Array): boolean {
  try {
    return new X509Certificate(der).raw.length > 0
  } catch {
    return false
  }
}
