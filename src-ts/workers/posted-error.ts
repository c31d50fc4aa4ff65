import { isOurs, NetpollError } from '../errors'
import { describe } from '../hooks'

/** An error on its way between threads. A clone of one has neither its class nor its code. */
export interface PostedError {
  readonly value: unknown
  readonly code: string | number | undefined
  readonly isOurs: boolean
}

/** Calls `post` with what stands for `error`, or, where that cannot be cloned, for its text. */
export function postError(error: unknown, post: (posted: PostedError) => void): void {
  try {
    post({ value: error, code: codeOf(error), isOurs: isOurs(error) })
  } catch {
    // It cannot be cloned, or is none that could be asked for its code.
    post({ value: new Error(describe(error)), code: undefined, isOurs: false })
  }
}

function codeOf(error: unknown): string | number | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' || typeof code === 'number' ? code : undefined
}

/** The error that was posted, as far as it can be. */
export function receiveError({ value, code, isOurs: wasOurs }: PostedError): unknown {
  if (!(value instanceof Error) || code === undefined) return value
  if (wasOurs) return new NetpollError(String(code), value.message, { cause: value.cause })
  return Object.assign(value, { code })
}
