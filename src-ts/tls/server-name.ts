import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'

import { invalidValue } from '../errors'

const isAscii = (name: string): boolean => !/\P{ASCII}/u.test(name)
/** At other characters of ASCII `domainToASCII` ends a name, or decodes them. */
const isConvertible = (name: string): boolean => /^(?:[\w.-]|\P{ASCII})+$/u.test(name)

/** The most characters that a name has. */
const mostCharacters = 253
const label = /^(?!-)[\w-]{1,63}(?<!-)$/
/** At its end a name would be taken for an address. */
const number = /^(?:\d+|0x[\da-f]*)$/i

/** A host name in the letters of DNS (punycode), as it is looked up. What has no such form stays as it is. */
export function asciiName(name: string): string {
  if (isAscii(name) || !isConvertible(name)) return name
  const converted = domainToASCII(name)
  return converted === '' ? name : converted
}

/**
 * The name of a server as it is asked for and compared. An address and `''` stay as they are: neither is asked for.
 *
 * @throws TypeError `ERR_INVALID_ARG_VALUE` for what is none, and for a name that TLS cannot carry
 */
export function serverNameOf(option: string, name: string): string {
  if (!asksForName(name)) return name
  // The dot at the end stands for the root, and is no part of what is asked for (RFC 6066, 3).
  const asked = asciiName(name).replace(/\.$/, '')
  const labels = asked.split('.')
  const isName = asked.length <= mostCharacters && labels.every((part) => label.test(part))
  if (isName && !number.test(labels[labels.length - 1] ?? '')) return asked
  throw invalidValue(option, 'must be a host name, or an IP address', name)
}

/** Whether a server is asked for this name: addresses are none (RFC 6066, 3). */
export function asksForName(name: string): boolean {
  return name !== '' && isIP(name) === 0
}
