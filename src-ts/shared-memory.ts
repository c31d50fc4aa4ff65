import { allocate } from './allocation'
import { Arena, arenaWords, turnsWord } from './arena'
import { adoptChunk, type Chunk } from './chunk'
import { externalMemoryRefused } from './errors'
import { minorCollection } from './minor-collection'
import { type NativeBinding, type NativeMemory, nativeBinding } from './native'
import { pace } from './pace'
import { setTimeout } from './timers'

/** Who has left bytes unread. */
export interface Leftover {
  /** Nothing more comes in `chunk`: whether some of what is unread may still lie in another. */
  retired(chunk: Buffer): boolean
}

/** Milliseconds after which chunks are let go of in which nothing has come meanwhile. */
const sweepInterval = 200

/**
 * The memory that this thread shares with the core: chunks that messages arrive in, and the arena for what is sent. One for
 * all event loops of the thread.
 */
export class SharedMemory {
  readonly native: NativeMemory
  readonly arena: Arena
  /** Chunks that more bytes may come in, by handle. */
  readonly chunks: (Chunk | undefined)[] = []
  readonly #leftovers = new Set<Leftover>()
  readonly #callbacks: Parameters<NativeMemory['resume']>[0]
  #isInUse = false
  /** Whether it stays in use until the thread ends. */
  #isKept = false
  /** Whether a timer runs, after which chunks are let go of. */
  #isSwept = false

  /** @throws NetpollError `ERR_UNSUPPORTED` where the engine refuses external memory, or there is no add-on */
  constructor() {
    const words = new Int32Array(arenaWords)
    const collect = minorCollection()
    this.native = openNative(words)
    this.#callbacks = {
      receiver: this,
      adopt: (handle, buffer) => {
        this.chunks[handle] = adoptChunk(handle, buffer)
        this.#sweepLater()
      },
      retire: (handle) => {
        const chunk = this.chunks[handle]
        this.chunks[handle] = undefined
        if (chunk !== undefined && this.#leftovers.size > 0) this.#retired(chunk.bytes)
      },
      collect,
    }
    // Elsewhere nothing is known of what happens when a thread ends.
    if (process.versions['bun'] === undefined && process.versions['deno'] === undefined) {
      this.native.watchEnd()
    }
    this.arena = new Arena(words, this.native, collect)
    // Bun aborts the process at the first function of libuv that it lacks.
    const hasLibuv = process.versions['bun'] === undefined
    if (hasLibuv && this.native.countTurns()) pace.countedByCore(words, turnsWord)
  }

  /**
   * A copy of bytes whose `ArrayBuffer` user code has detached; `undefined` where they are not there any more.
   *
   * @throws NetpollError `ENOMEM`
   */
  copy(handle: number, start: number, length: number): Buffer | undefined {
    // In the engine's own memory, which may be moved to another thread like any other.
    const copy = allocate(length)
    return this.native.copy(handle, start, copy) ? copy : undefined
  }

  /** The core calls back from now on, and so keeps this, and every module that it refers to. */
  resume(): void {
    if (this.#isInUse) return
    this.native.resume(this.#callbacks)
    this.#isInUse = true
  }

  /** As {@link resume}, and goes on until the thread ends. */
  keep(): void {
    this.resume()
    this.#isKept = true
  }

  /**
   * No event loop is left: nothing keeps this any more but whoever refers to it. Chunks and the arena stay what they are.
   * Returns false while bytes may still come in chunks that it holds, or where it is kept: then it goes on.
   */
  suspend(): boolean {
    if (this.#isInUse && !this.#isKept && this.native.suspend()) this.#isInUse = false
    return !this.#isInUse
  }

  /** Of an asynchronous resource: whether it keeps the process alive. */
  hasRef(): boolean {
    return false
  }

  /** From now on `leftover` is told of chunks that end. */
  watch(leftover: Leftover): void {
    this.#leftovers.add(leftover)
  }

  /** No longer, and what it has left is not kept from here. */
  unwatch(leftover: Leftover): void {
    this.#leftovers.delete(leftover)
  }

  #retired(chunk: Buffer): void {
    for (const leftover of this.#leftovers) {
      if (!leftover.retired(chunk)) this.#leftovers.delete(leftover)
    }
  }

  /**
   * A chunk is let go of when the next one comes, if that is not the thread's last. What is left then is let go of once
   * nothing has come for a while; whoever is idle has no timer.
   */
  #sweepLater(): void {
    if (this.#isSwept) return
    this.#isSwept = true
    setTimeout(this.#sweep, sweepInterval).unref()
  }

  readonly #sweep = (): void => {
    this.#isSwept = false
    if (this.native.sweep()) this.#sweepLater()
  }
}

function openNative(...given: ConstructorParameters<NativeBinding['Memory']>): NativeMemory {
  const { Memory } = nativeBinding()
  try {
    return new Memory(...given)
  } catch (cause) {
    throw externalMemoryRefused(cause)
  }
}

let current: SharedMemory | undefined

/**
 * The memory of this thread.
 *
 * @throws as {@link SharedMemory}
 */
export function sharedMemory(): SharedMemory {
  current ??= new SharedMemory()
  return current
}
