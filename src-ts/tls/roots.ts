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
  const found = getCACertificates?.('default') ?? [...rootCertificates, ...extraRoots()]
  return found.length === 0 ? [] : certificatesOf('ca', found)
}

function extraRoots(): string[] {
  const { NODE_EXTRA_CA_CERTS: file } = process.env
  if (file === undefined || file === '') return []
  try {
    return [readFileSync(file, 'latin1')]
  } catch {
    // Node.js has warned of it when it started.
    return []
  }
}
