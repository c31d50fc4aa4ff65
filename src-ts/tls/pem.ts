import { createPrivateKey } from 'node:crypto'

import { isUint8Array } from '../checks/bytes'
import { invalidType, invalidValue } from '../errors'
import { copyBytes } from '../memory/allocation'
import type { Pem } from './options'

const certificateBlocks =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g

/** The text of PEM that a user gives. No error shows any of it: it may be a key. */
function textOf(option: string, value: unknown): string {
  if (typeof value === 'string') return value
  // A copy in memory of its own: a key has no place in that which Node.js shares.
  if (isUint8Array(value)) return copyBytes(value).toString('latin1')
  throw invalidType(option, 'PEM, as a string or bytes', value)
}

/**
 * Certificates in DER.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`, or `ERR_INVALID_ARG_VALUE` where there are none
 */
export function certificatesOf(option: string, pem: Pem): Buffer[] {
  const list: readonly unknown[] = Array.isArray(pem) ? pem : [pem]
  return list.flatMap((part) => {
    const found = Array.from(textOf(option, part).matchAll(certificateBlocks), ([, body = '']) =>
      Buffer.from(body, 'base64'),
    )
    if (found.length === 0) throw invalidValue(option, 'has no certificate in PEM', typeof part)
    return found
  })
}

/**
 * A private key in DER, as PKCS#8.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`; the error of `node:crypto`, such as for a wrong passphrase
 */
export function keyOf(option: string, pem: unknown, passphrase: string | undefined): Buffer {
  if (Array.isArray(pem)) {
    throw invalidValue(option, 'must be one key: others are for other names, see contexts', 'a list')
  }
  const key = createPrivateKey({ key: textOf(option, pem), format: 'pem', passphrase })
  return key.export({ type: 'pkcs8', format: 'der' })
}
