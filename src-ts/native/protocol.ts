const batchCapacity = 2048

/** In place of the number of records, while they are being handled; 0 once all are. */
export const underWay = -1
/** In its place as well, where the rest of them is to be handled later. */
const waiting = -2
/**
 * Words before the handles of chunks:
 *
 * - how many records there are, and how many chunks;
 * - how many records may be handled before the caller looks at the clock, and how many are left;
 * - how many calls for them, or flushes that these have made due, are not over;
 * - how many of its messages nothing refers to any more.
 */
export const batchHeader = 6
/** Where the third of them is. */
export const sliceWord = 2
/** Where the fourth of them is. */
const leftWord = 3
/** Where the fifth of them is. */
export const unsettledWord = 4
/** Where the sixth of them is. */
export const releasedWord = 5
/** Slot, kind and chunk, start, length. */
export const recordWords = 4
/** Where the records begin. */
export const firstRecord = batchHeader + batchCapacity
/** Words of a batch. */
export const batchWords = firstRecord + batchCapacity * recordWords

/** Says in the words of a batch that the records from `next` to `end` are left of it; returns how many those are. */
export function leaveBatch(batch: Int32Array, next: number, end: number): number {
  const left = (end - next) / recordWords
  batch[leftWord] = left
  batch[0] = left > 0 ? waiting : 0
  return left
}
