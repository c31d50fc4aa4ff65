import { copyBytes } from './allocation'
import { isUint8Array } from '../checks/bytes'
import { chunkHandle } from './chunk'
import { invalidType } from '../errors'

/** Bytes to send: one piece, or several that are sent one after the other as one message. */
export type Payload = Uint8Array | string | readonly (Uint8Array | string)[]

/**
 * What is to be sent later: the user's own memory is copied, so that it may be changed; what was received is kept.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` when it is no payload; NetpollError `ENOMEM`
 */
export function keepPayload(payload: Payload): Payload {
  const pieces = takeApart(payload)
  return Array.isArray(pieces) ? pieces.map(keepPiece) : keepPiece(pieces as Uint8Array | string)
}

function keepPiece(piece: Uint8Array | string): Uint8Array | string {
  if (typeof piece === 'string') return piece
  if (!isUint8Array(piece)) throw notPayload(piece)
  return chunkHandle(piece) === undefined ? copyBytes(piece) : piece
}

/**
 * The payload to send now, asked for its pieces: a list may be a proxy, or have members that run user code. That code has
 * run before anything is looked up or counted. Only a list takes new memory.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` for a list with something else; what the list throws
 */
export function takeApart(payload: Payload): Payload {
  if (!Array.isArray(payload)) return payload
  const { length } = payload
  const pieces: (Uint8Array | string)[] = []
  for (let index = 0; index < length; index += 1) {
    const piece: unknown = payload[index]
    if (typeof piece !== 'string' && !isUint8Array(piece)) throw notPayload(piece)
    pieces.push(piece)
  }
  return pieces
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
