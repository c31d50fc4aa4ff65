/** Up to here copying is cheaper than one more piece in the system call. */
export const copyLimit = 256

/** The most bytes of one piece: a word of a command says how many. */
export const directLimit = 2 ** 30

/** Handle of a piece that is the user's own memory. */
export const foreign = -1

/** The largest number without sign, by its size in bytes: to compute it for each number that is written takes longer than to write it. */
export const largestUint = [0, 1, 2, 3, 4, 5, 6].map((size) => 2 ** (8 * size) - 1)

/** Bytes that wait to be flushed: `start..start + length` of a chunk, or of the user's memory. */
export interface Piece {
  readonly memory: Uint8Array
  readonly handle: number
  start: number
  length: number
  next: Piece | undefined
}

/** What was written between two flushes. */
export interface Written {
  readonly first: Piece | undefined
  readonly length: number
}
