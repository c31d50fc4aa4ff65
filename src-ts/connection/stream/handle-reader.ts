import { executionAsyncResource } from 'node:async_hooks'
import type { Duplex } from 'node:stream'

import { isNode } from '../../native/runtime'
import { copyTlsMembers } from './tls-members'

/**
 * What of Node.js reads handles, and so stands on a stream of JavaScript by an adapter: TLS and HTTP/2. Over a socket of
 * `node:net` it takes the handle, and that socket then says nothing of its own accord. Over us it listens to a stream.
 */

/** What the layers above ask the adapter's handle for, besides bytes: each is left out where the handle has none. */
interface AdapterHandle {
  getpeername?: (address: SocketName) => number
  getsockname?: (address: SocketName) => number
  setNoDelay?: (on: boolean) => number
  setKeepAlive?: (on: boolean, seconds: number) => number
  ref?: () => void
  unref?: () => void
}

/** Filled in as handles of Node.js do it. */
interface SocketName {
  address?: string | undefined
  port?: number | undefined
  family?: string | undefined
}

/** A stream that has what the handle of a socket has. */
interface SocketStream extends Duplex {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: string | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: string | undefined
  setNoDelay(on: boolean): unknown
  setKeepAlive(on: boolean, milliseconds: number): unknown
  ref(): unknown
  unref(): unknown
}

type Listener = (...args: unknown[]) => void

/** `ENOTCONN` of libuv, or anything that is not 0: there is no such address. */
const noAddress = -1

/** What the adapter listens to. */
const adapterEvents = ['error', 'data', 'end', 'close'] as const

/** A layer of Node.js that has taken a stream over. */
export class HandleReader {
  readonly #stream: SocketStream
  /** The adapter's listeners, without which the layer hears nothing. */
  readonly #listeners: readonly (readonly [string, Listener])[]

  private constructor(stream: SocketStream, handle: AdapterHandle) {
    this.#stream = stream
    this.#listeners = adapterEvents.flatMap((name) => {
      const listener = stream.rawListeners(name).at(-1) as Listener | undefined
      return listener === undefined ? [] : [[name, listener] as const]
    })
    complete(handle, stream)
  }

  /**
   * What asks `stream` to flow right now, if that is such a layer. It asks from within a call of its handle, which is
   * then what executes; nothing else tells which layer it is.
   */
  static asking(stream: SocketStream): HandleReader | undefined {
    // Other hosts have TLS of their own, and name no resource.
    if (!isNode) return undefined
    const handle = executionAsyncResource() as Readonly<Record<symbol, unknown>>
    if (!('readBuffer' in handle && 'finishWrite' in handle)) return undefined
    for (const key of Object.getOwnPropertySymbols(handle)) {
      const owner = handle[key]
      if (typeof owner === 'object' && owner !== null && 'stream' in owner && owner.stream === stream) {
        // HTTP/2 asks the adapter for its protocol right after this.
        copyTlsMembers(stream, owner)
        return new HandleReader(stream, handle as AdapterHandle)
      }
    }
    return undefined
  }

  /** Runs `remove`, which takes listeners off the stream, and sees to it that the layer keeps its own. */
  keepListeners(remove: () => void): void {
    const kept = this.#listeners.filter(([name, listener]) =>
      this.#stream.rawListeners(name).includes(listener),
    )
    remove()
    for (const [name, listener] of kept) {
      if (!this.#stream.rawListeners(name).includes(listener)) this.#stream.on(name, listener)
    }
  }
}

/** Gives the handle what that of a socket has, for code that asks the layer for it. */
function complete(handle: AdapterHandle, stream: SocketStream): void {
  handle.getpeername ??= (out) => {
    const { remoteAddress: address, remotePort: port, remoteFamily: family } = stream
    return name(out, { address, port, family })
  }
  handle.getsockname ??= (out) => {
    const { localAddress: address, localPort: port, localFamily: family } = stream
    return name(out, { address, port, family })
  }
  handle.setNoDelay ??= (on) => {
    if (!stream.destroyed) stream.setNoDelay(on)
    return 0
  }
  handle.setKeepAlive ??= (on, seconds) => {
    if (!stream.destroyed) stream.setKeepAlive(on, seconds * 1_000)
    return 0
  }
  handle.ref ??= () => void stream.ref()
  handle.unref ??= () => void stream.unref()
}

function name(out: SocketName, found: SocketName): number {
  if (found.address === undefined) return noAddress
  Object.assign(out, found)
  return 0
}
