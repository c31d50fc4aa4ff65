import { invalidValue } from '../errors'

/** The ciphers, by the name of OpenSSL, in the order of preference: their number, and their name in the standards. */
const ciphers: Readonly<Record<string, readonly [number, string]>> = {
  TLS_AES_256_GCM_SHA384: [0x1302, 'TLS_AES_256_GCM_SHA384'],
  TLS_AES_128_GCM_SHA256: [0x1301, 'TLS_AES_128_GCM_SHA256'],
  TLS_CHACHA20_POLY1305_SHA256: [0x1303, 'TLS_CHACHA20_POLY1305_SHA256'],
  'ECDHE-ECDSA-AES256-GCM-SHA384': [0xc02c, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'],
  'ECDHE-ECDSA-AES128-GCM-SHA256': [0xc02b, 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'],
  'ECDHE-ECDSA-CHACHA20-POLY1305': [0xcca9, 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256'],
  'ECDHE-RSA-AES256-GCM-SHA384': [0xc030, 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384'],
  'ECDHE-RSA-AES128-GCM-SHA256': [0xc02f, 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
  'ECDHE-RSA-CHACHA20-POLY1305': [0xcca8, 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256'],
}

const known = new Map(
  Object.entries(ciphers).flatMap(([name, [number, standardName]]) => [
    [name, number] as const,
    [standardName, number] as const,
  ]),
)
const names = new Map(Object.entries(ciphers).map(([name, [number]]) => [number, name]))

/** What OpenSSL calls a cipher. */
export function cipherName(number: number): string {
  return names.get(number) ?? `0x${number.toString(16)}`
}

/** What the standards call a cipher that OpenSSL calls so. */
export function standardCipherName(name: string): string {
  return ciphers[name]?.[1] ?? name
}

const isOfTls13 = (name: string): boolean => ciphers[name] !== undefined && name.startsWith('TLS_')

/**
 * The numbers of the ciphers in `list`. As with OpenSSL, a list without those of TLS 1.3 leaves them all.
 *
 * @throws TypeError `ERR_INVALID_ARG_VALUE` for a name that is not known, or not supported, and for a list without one
 */
export function cipherNumbers(option: string, list: string): number[] {
  const given = list.split(':').filter((name) => name !== '')
  const numbers = given.map((name) => {
    const number = known.get(name)
    if (number === undefined) {
      const all = Object.keys(ciphers).join(':')
      throw invalidValue(option, `names a cipher that is not supported. Those are ${all}`, name)
    }
    return number
  })
  if (numbers.length === 0) throw invalidValue(option, 'must name a cipher', list)
  if (given.some(isOfTls13)) return numbers
  return [
    ...Object.keys(ciphers)
      .filter(isOfTls13)
      .map((name) => known.get(name) as number),
    ...numbers,
  ]
}
