import { inspect, types } from 'node:util'

import { isNetpollError } from '../errors'
import { isError } from '../checks/kinds'

/** More than this of one error tells nothing more, and may be what a peer has sent. */
const maxText = 16 * 1024

/** Errors that caused one another, as far as they are told. */
const maxCauses = 5

/** What breaks a line, or does more to a terminal than to write. */
const controls = /[\p{Cc}\u2028\u2029]+/gu

/** One line about an error, with its class or code. */
export function describe(error: unknown): string {
  return shown(() => summary(error).replace(controls, ' '))
}

/** Everything about an error: its class, its stack, and what has caused it. */
export function describeFully(error: unknown): string {
  return shown(() => fullText(error, maxCauses))
}

/** The name of an error's class; `undefined` where it is no error, or will not say. */
export function classOf(error: unknown): string | undefined {
  try {
    if (!types.isNativeError(error)) return undefined
    const { name } = error.constructor
    // Who gives errors a name of their own means that.
    const own = error.name === 'Error' ? name : error.name
    return typeof own === 'string' && own !== '' ? own : undefined
  } catch {
    return undefined
  }
}

function shown(show: () => string): string {
  try {
    const text = show()
    return text.length > maxText ? `${text.slice(0, maxText)}…` : text
  } catch {
    // Anything can be thrown, also what has no text.
    return 'an error that cannot be shown'
  }
}

function summary(error: unknown): string {
  if (isNetpollError(error)) return `${error.code}: ${error.message}`
  if (types.isNativeError(error)) return `${classOf(error) ?? 'Error'}: ${error.message}`
  return isError(error) ? error.message : shallow(error)
}

function fullText(error: unknown, causes: number): string {
  // Without all that it has and that is not there: most have neither a system call nor an address.
  if (!isNetpollError(error)) return shallow(error)
  const { stack = '' } = error
  const frames = /\n {4}at [\s\S]*$/.exec(stack)?.[0] ?? ''
  const isCaused = error.cause !== undefined && causes > 0
  const cause = isCaused ? `\n  [cause]: ${fullText(error.cause, causes - 1).replaceAll('\n', '\n  ')}` : ''
  return `${summary(error)}${frames}${cause}`
}

function shallow(value: unknown): string {
  if (typeof value === 'string') return value
  // No user code is called: the value may have been thrown to do harm.
  const text = inspect(value, { customInspect: false, getters: false, depth: 2, maxStringLength: 1_000 })
  // So it is of an error that came from another thread, whose class is not here.
  const named = `Error [${classOf(value)}]`
  return text.startsWith(named) ? named.slice('Error ['.length, -1) + text.slice(named.length) : text
}
