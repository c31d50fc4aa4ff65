import { executionAsyncResource } from 'node:async_hooks'
import type { Duplex } from 'node:stream'

/**
 * What of Node.js reads handles, and so stands on a stream of JavaScript by an adapter: TLS and HTTP/2. Over a socket of
 * `node:net` it takes the handle, and that socket then says nothing of its own accord. Over us it listens to a stream.
 */

/** Other hosts have TLS of their own, and name no resource. */
const hasAdapters = process.versions['bun'] === undefined && process.versions['deno'] === undefined

/** A layer of Node.js that has taken a stream over. */
export class HandleReader {
  /**
   * What asks `stream` to flow right now, if that is such a layer. It asks from within a call of its handle, which is
   * then what executes; nothing else tells who it is.
   */
  static asking(stream: Duplex): HandleReader | undefined {
    if (!hasAdapters) return undefined
    const handle = executionAsyncResource() as Readonly<Record<symbol, unknown>>
    if (!('readBuffer' in handle && 'finishWrite' in handle)) return undefined
    for (const key of Object.getOwnPropertySymbols(handle)) {
      const owner = handle[key]
      if (typeof owner === 'object' && owner !== null && 'stream' in owner && owner.stream === stream) {
        return new HandleReader()
      }
    }
    return undefined
  }
}
