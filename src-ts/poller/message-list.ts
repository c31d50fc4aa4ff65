import { lengthOf, offsetOf } from '../checks/bytes'
import type { FramingRules } from '../framing/rules'
import { copyLimit } from '../link-buffer/pieces'
import { type Arena, checkLent } from '../memory/arena'
import { chunkHandle } from '../memory/chunk'

/** A piece of a message. */
export type Piece = Uint8Array | string

/** Bytes that commands can name, and the memory that has to stay until they do. */
export interface Part {
  readonly memory: Uint8Array
  readonly handle: number
  readonly start: number
  readonly length: number
}

/** Whether a list of so many bytes cannot fail for want of memory once its header was added. */
export function hasRoomFor(arena: Arena, pieces: readonly Piece[], total: number): boolean {
  if (arena.hasRoom(total)) return true
  let copied = total
  for (const piece of pieces) if (handleOf(piece) !== undefined) copied -= pieceLength(piece)
  return arena.makeRoom(copied)
}

/** The parts of a list with more to copy than fits into the arena: nothing is added before there is memory for all. */
export function takePieces(
  arena: Arena,
  pieces: readonly Piece[],
  framing: FramingRules,
  before: number,
  length: number,
): Part[] {
  const parts: Part[] = []
  if (before > 0) {
    const start = arena.take(before)
    framing.writeHeader(arena.memory, start, length)
    parts.push({ memory: arena.memory, handle: arena.handle, start, length: before })
  }
  for (const piece of pieces) parts.push(takePiece(arena, piece))
  parts.push(takePiece(arena, framing.trailer))
  return parts
}

function takePiece(arena: Arena, piece: Piece): Part {
  const length = pieceLength(piece)
  const handle = handleOf(piece)
  if (handle !== undefined) {
    const memory = piece as Uint8Array
    return { memory, handle, start: offsetOf(memory), length }
  }
  const start = copyPiece(arena, piece, length)
  return { memory: arena.memory, handle: arena.handle, start, length }
}

/** Copies a piece of so many bytes; returns where. */
export function copyPiece(arena: Arena, piece: Piece, length: number): number {
  const at = arena.take(length)
  if (typeof piece === 'string') arena.memory.write(piece, at)
  else arena.memory.set(piece, at)
  return at
}

/**
 * @throws TypeError for memory that was transferred away; NetpollError `ERR_FRAME_TOO_LARGE` for more than a chunk holds: both
 * while nothing is added yet
 */
export function checkedLength(piece: Piece): number {
  const length = pieceLength(piece)
  checkLent(length)
  if (length === 0 && typeof piece !== 'string') nothing.set(piece)
  return length
}

const nothing = new Uint8Array(0)

/** The handle of the chunk that a piece is sent from; `undefined` when it is copied. */
export function handleOf(piece: Piece): number | undefined {
  return typeof piece === 'string' || lengthOf(piece) <= copyLimit ? undefined : chunkHandle(piece)
}

export function pieceLength(piece: Piece): number {
  return typeof piece === 'string' ? Buffer.byteLength(piece) : lengthOf(piece)
}
