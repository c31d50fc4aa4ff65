import { isUint8Array } from './bytes'
import { chunkHandle } from './chunk'
import { invalidType } from './errors'

/** Bytes to send: one piece, or several that are sent one after the other as one message. */
export type Payload = Uint8Array | string | readonly (Uint8Array | string)[]

/**
 * What is to be sent later: the user's own memory is copied, so that it may be changed; what was received is kept.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` when it is no payload
 */
export function keepPayload(payload: Payload): Payload {
  return Array.isArray(payload) ? payload.map(keepPiece) : keepPiece(payload as Uint8Array | string)
}

function keepPiece(piece: Uint8Array | string): Uint8Array | string {
  if (typeof piece === 'string') return piece
  if (!isUint8Array(piece)) throw notPayload(piece)
  return chunkHandle(piece) === undefined ? Buffer.copyBytesFrom(piece) : piece
}

/**
 * Checks an option that is to be sent.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` when it is no payload
 */
export function checkPayload(name: string, value: unknown): void {
  const isPiece = (piece: unknown): boolean => typeof piece === 'string' || isUint8Array(piece)
  if (isPiece(value) || (Array.isArray(value) && value.every(isPiece))) return
  throw invalidType(name, 'bytes (Uint8Array), a string, or a list of them', value)
}

/** Says that something cannot be sent. */
export function notPayload(actual: unknown): TypeError {
  return invalidType('message', 'bytes (Uint8Array), a string, or a list of them', actual)
}
