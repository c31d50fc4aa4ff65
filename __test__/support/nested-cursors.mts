import type { LaterReply, MessageReader, MessageWriter } from '../../dist/index.mjs'
import type { Loop } from './turning.mjs'

/**
 * Echoes, and turns the event loop in the midst of reading and writing until so many messages of the round were handled.
 * The message says how many, and how it is answered.
 */
export function nestedHandler(loop: Loop): (reader: MessageReader, writer: MessageWriter) => void {
  let handled = 0
  let running = 0
  return (reader, writer) => {
    if (running === 0) handled = 0
    handled += 1
    running += 1
    const turns = reader.peekUint(1)
    const kind = reader.peekUint(1, 1)
    let later: LaterReply | undefined
    if (kind === 1) later = writer.later()
    else writer.writeFrom(reader, 100)
    if (turns > 0) {
      const goal = turns
      loop.until(() => handled >= goal)
    }
    running -= 1
    if (kind === 1) {
      const own = later as LaterReply
      const rest = reader.readBinary(reader.length)
      setImmediate(() => own.write((to) => void to.writeBinary(rest)))
    } else if (kind === 2) {
      // Left for later in the end, although it was begun, and given at once.
      const rest = reader.next(reader.length)
      const { bytes, mallocLength } = writer
      void bytes
      const begun = mallocLength
      if (begun !== 100) throw new Error(`${begun} bytes were begun`)
      later = writer.later()
      later.send([firstOf(rest), rest])
    } else {
      writer.writeFrom(reader)
    }
  }
}

/** The hundred bytes before a view of the rest. */
function firstOf(rest: Buffer): Buffer {
  return Buffer.from(rest.buffer, rest.byteOffset - 100, 100)
}
