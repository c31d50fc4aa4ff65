import { NetpollError } from '../errors'
import { describe } from '../hooks'

/** An error on its way between threads. A clone of one has neither its class nor its code. */
export interface PostedError {
  readonly value: unknown
  readonly code: unknown
  readonly isOurs: boolean
}

/** Calls `post` with what stands for `error`, or, where that cannot be cloned, for its text. */
export function postError(error: unknown, post: (posted: PostedError) => void): void {
  const isOurs = error instanceof NetpollError
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  try {
    post({ value: error, code, isOurs })
  } catch {
    post({ value: new Error(describe(error)), code: undefined, isOurs: false })
  }
}

/** The error that was posted, as far as it can be. */
export function receiveError({ value, code, isOurs }: PostedError): unknown {
  if (!(value instanceof Error) || code === undefined) return value
  if (isOurs) return new NetpollError(String(code), value.message, { cause: value.cause })
  return Object.assign(value, { code })
}
