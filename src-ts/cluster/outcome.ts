import { isNetpollError } from '../errors'
import { saysTrue } from '../extension'

/** What the end of one try says. */
export const Outcome = {
  /** The server has failed, or the way to it. It may have got the request. */
  Failed: 0,
  /** The server has certainly not got the request, and nothing is said about it. */
  Unsent: 1,
  /** The caller has given up, or its request cannot be sent to any server. */
  Caller: 2,
} as const

export type Outcome = (typeof Outcome)[keyof typeof Outcome]

/** Codes of what is wrong with a request, whichever server it goes to. */
const faultsOfRequests: ReadonlySet<string> = new Set([
  'ERR_DUPLICATE_ID',
  'ERR_FRAME_TOO_LARGE',
  'ERR_FRAME_INVALID',
  'ERR_NO_ID',
  'ERR_UNSUPPORTED',
  'ERR_BUFFER_DETACHED',
])

/** What the error of a try says. */
export function outcomeOf(error: unknown): Outcome {
  if (!isNetpollError(error)) return Outcome.Caller
  if (error.sent !== false) return Outcome.Failed
  if (faultsOfRequests.has(error.code)) return Outcome.Caller
  return error.code === 'ERR_REQUEST_TIMEOUT' ? Outcome.Caller : Outcome.Unsent
}

/**
 * Whether a reply says that its server cannot serve.
 *
 * @throws TypeError `ERR_INVALID_ARG_VALUE` for a promise; what the user's function throws
 */
export function saysUnavailable(
  isUnavailable: ((reply: Buffer) => boolean) | undefined,
  reply: Buffer,
): boolean {
  return saysTrue('options.isUnavailable', isUnavailable?.(reply))
}
