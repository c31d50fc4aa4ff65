// What `netpoll-bench transfer` speaks: crates/bench/src/transfer/protocol.rs.

/** First byte of an upload, which the server counts and answers with the count. */
export const UPLOAD = 0x55
/** First byte of a download, before the number of bytes to send. */
export const DOWNLOAD = 0x44
/** Bytes of a number, big-endian. */
export const COUNT_SIZE = 8

const WORD_SIZE = 4
const FACTOR = 0x9e3779b1

/** What a download repeats. Each word of it is its index times a factor. */
export const BLOCK = Buffer.alloc(64 * 1024)
for (let index = 0; index < BLOCK.length / WORD_SIZE; index += 1) {
  BLOCK.writeInt32BE(Math.imul(index, FACTOR), index * WORD_SIZE)
}

/** @param {number} count */
export function encodeCount(count) {
  const bytes = Buffer.alloc(COUNT_SIZE)
  bytes.writeBigUInt64BE(BigInt(count))
  return bytes
}

/** @param {Buffer} bytes */
export const decodeCount = (bytes) => Number(bytes.readBigUInt64BE())

/** What a download sends next. @param {number} left Bytes still to be sent. */
export const nextBlock = (left) => (left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left))

/**
 * Writes so many bytes, in blocks and no faster than the stream takes them.
 *
 * @param {import('node:stream').Writable} stream
 * @param {number} left
 * @param {() => void} done
 */
export function writeBlocks(stream, left, done) {
  while (left > 0) {
    const block = nextBlock(left)
    left -= block.length
    if (!stream.write(block)) {
      stream.once('drain', () => writeBlocks(stream, left, done))
      return
    }
  }
  done()
}
