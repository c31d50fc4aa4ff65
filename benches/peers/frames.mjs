// Length-prefixed messages on a stream, as one would cut and build them by hand: a length of 4 bytes,
// big-endian, and the payload.

const HEADER_SIZE = 4
const EMPTY = Buffer.alloc(0)

/** Cuts what one connection receives. */
export class FrameCutter {
  /** @type {Buffer} */
  #pending = EMPTY

  /** The payloads of all messages that are whole now. @param {Buffer} chunk */
  cut(chunk) {
    const pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    const payloads = []
    let offset = 0
    while (pending.length - offset >= HEADER_SIZE) {
      const end = offset + HEADER_SIZE + pending.readUInt32BE(offset)
      if (pending.length < end) break
      payloads.push(pending.subarray(offset + HEADER_SIZE, end))
      offset = end
    }
    this.#pending = offset === pending.length ? EMPTY : pending.subarray(offset)
    return payloads
  }
}

/** @param {Buffer} payload */
export function frame(payload) {
  const message = Buffer.allocUnsafe(HEADER_SIZE + payload.length)
  message.writeUInt32BE(payload.length)
  message.set(payload, HEADER_SIZE)
  return message
}
