import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as tls from 'node:tls'

import { certificatesOf } from './pem'

/** What newer versions of Node.js have. */
type WithDefaults = typeof tls & {
  readonly getCACertificates?: ((type: 'default') => readonly string[]) | undefined
}

let roots: readonly Buffer[] | undefined

/** The authorities that Node.js trusts, in DER; read once. */
export function defaultRoots(): readonly Buffer[] {
  roots ??= readRoots()
  return roots
}

function readRoots(): readonly Buffer[] {
  const { getCACertificates, rootCertificates } = tls as WithDefaults
  const found = getCACertificates?.('default')
  return found === undefined
    ? [...certificatesOf('ca', rootCertificates), ...extraRoots()]
    : certificatesOf('ca', found)
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
