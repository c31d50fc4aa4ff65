import { types } from 'node:util'

import { isOurs, NetpollError } from '../errors'
import { classOf, describe } from '../process/describe'
import { isError } from '../checks/kinds'

/** An error on its way between threads. A clone of one has neither its class nor its code. */
export interface PostedError {
  readonly value: unknown
  readonly code: string | number | undefined
  /** Of one of ours: what the system says of it. */
  readonly ours: Pick<NetpollError, 'errno' | 'syscall'> | undefined
  /** Of its class. */
  readonly name: string | undefined
}

/** Calls `post` with what stands for `error`, or, where that cannot be cloned, for its text. */
export function postError(error: unknown, post: (posted: PostedError) => void): void {
  try {
    const ours = isOurs(error) ? { errno: error.errno, syscall: error.syscall } : undefined
    post({ value: error, code: codeOf(error), ours, name: classOf(error) })
  } catch {
    // It cannot be cloned, or is none that could be asked for its code.
    post({
      value: withStackOf(error, new Error(describe(error))),
      code: undefined,
      ours: undefined,
      name: undefined,
    })
  }
}

function codeOf(error: unknown): string | number | undefined {
  const code: unknown = isError(error) && 'code' in error ? error.code : undefined
  return typeof code === 'string' || typeof code === 'number' ? code : undefined
}

/** The error that was posted, as far as it can be. */
export function receiveError({ value, code, ours, name }: PostedError): unknown {
  if (!isError(value)) return value
  if (ours !== undefined && code !== undefined) {
    const details = { ...ours, cause: value.cause }
    return withStackOf(value, new NetpollError(String(code), value.message, details))
  }
  if (name !== undefined && value.name !== name) {
    const { stack, name: cloned } = value
    if (stack?.startsWith(cloned) === true) value.stack = name + stack.slice(cloned.length)
    Object.defineProperty(value, 'name', { value: name, writable: true, configurable: true })
  }
  return code === undefined ? value : Object.assign(value, { code })
}

/** Where it was thrown, and not where it was copied. */
function withStackOf(error: unknown, copy: Error): Error {
  try {
    if (types.isNativeError(error) && typeof error.stack === 'string') copy.stack = error.stack
  } catch {
    // It will not say.
  }
  return copy
}
