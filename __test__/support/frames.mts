/** A message behind four bytes of length, written without the code under test. */
export function frame(message: Uint8Array | string): Buffer {
  const body = Buffer.from(message)
  const header = Buffer.alloc(4)
  header.writeUInt32BE(body.length)
  return Buffer.concat([header, body])
}

/** A message with a big-endian id of four bytes before its text. */
export function numbered(id: number, text = ''): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(id)
  return Buffer.concat([bytes, Buffer.from(text)])
}

export function frames(...messages: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat(messages.map(frame))
}

/** What {@link frames} joined. */
export function unframe(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at)
    messages.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return messages
}

/** Bytes that differ from place to place and from seed to seed. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = (seed * 2_654_435_761) >>> 0 || 1
  for (let index = 0; index < length; index += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[index] = state & 0xff
  }
  return bytes
}
