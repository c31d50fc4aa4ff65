import type { Readable } from 'node:stream'

import { nextTick } from '../../time/timers'

/**
 * Calls `over` once nothing is left to read of a stream that gets nothing more. An error would destroy it at once, and with
 * it what has arrived. All ways to read a stream lead through its `read`.
 */
export function whenRead(stream: Readable, over: () => void): void {
  if (stream.readableLength === 0) {
    over()
    return
  }
  const { read } = stream
  stream.read = (size) => {
    const chunk: unknown = Reflect.apply(read, stream, [size])
    if (stream.readableLength === 0) {
      stream.read = read
      // The reader has the last of it first.
      nextTick(over)
    }
    return chunk
  }
}
