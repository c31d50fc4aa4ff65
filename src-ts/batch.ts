/** What a record tells. The numbers are those of `batch.rs`. */
export const RecordKind = {
  Message: 0,
  Accepted: 1,
  Connected: 2,
  Inactive: 3,
  Ended: 4,
  Congested: 5,
  Drained: 6,
  Closed: 7,
  AcceptPaused: 8,
  Idle: 9,
  Alarm: 10,
  BytesRead: 11,
  BytesWritten: 12,
  EndSent: 13,
  Correlation: 14,
  Source: 15,
  AcceptFailed: 16,
  AcceptEnded: 17,
  RefusedLength: 18,
  RefusedBytes: 19,
} as const

const batchCapacity = 2048

/** In place of the number of records, while some of them are not handled yet; 0 once all are. */
export const underWay = -1
/** Words before the handles of chunks: how many records there are, and how many chunks. */
export const batchHeader = 2
/** Slot, kind and chunk, start, length. */
export const recordWords = 4
/** Where the records begin. */
export const firstRecord = batchHeader + batchCapacity
/** Words of a batch. */
export const batchWords = firstRecord + batchCapacity * recordWords
