import { isMainThread } from 'node:worker_threads'

import { allocate } from './allocation'
import { Arena, arenaWords, turnsWord } from './arena'
import { batchHeader } from '../native/protocol'
import { adoptChunk, Chunk } from './chunk'
import { externalMemoryRefused, outOfMemory } from '../errors'
import { leaks } from '../leaks/watch-list'
import { fullCollection, minorCollection } from './minor-gc'
import { type NativeBinding, type NativeMemory, nativeBinding } from '../native/binding'
import { detectLeaks } from '../process/leak-detector'
import { receivedMemory } from './received-memory'
import { stepBudget } from '../time/step-budget'
import { isBun, isNode } from '../native/runtime'
import { setTimeout } from '../time/timers'
import { WatchedArena } from './watched-arena'

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
export class ThreadMemory {
  readonly native: NativeMemory
  readonly arena: Arena
  /** Chunks that more bytes may come in, by handle. */
  readonly chunks: (Chunk | undefined)[] = []
  readonly #leftovers = new Set<Leftover>()
  readonly #callbacks: Parameters<NativeMemory['resume']>[0]
  #isInUse = false
  /** Whether it stays in use until the thread ends. */
  #isKept = false
  /** Whether chunks have come since {@link sweepWhenQuiet}. */
  #isSweepDue = false
  /** Whether a timer runs, after which chunks are let go of. */
  #isSwept = false

  /** @throws NetpollError `ERR_UNSUPPORTED` where the engine refuses external memory, or there is no add-on */
  constructor() {
    const words = new Int32Array(arenaWords)
    const collect = minorCollection()
    this.native = openNative(words)
    receivedMemory?.begin((handle) => this.native.isKnown(handle))
    this.#callbacks = {
      receiver: this,
      adopt: (handle, buffer) => {
        this.chunks[handle] = adoptChunk(handle, buffer)
        receivedMemory?.adopted(handle, buffer)
        this.#isSweepDue = true
      },
      retire: (handle) => {
        const chunk = this.chunks[handle]
        this.chunks[handle] = undefined
        if (chunk !== undefined) receivedMemory?.retired(handle)
        if (chunk !== undefined && this.#leftovers.size > 0) this.#retired(chunk.bytes)
      },
      collect: () => {
        this.arena.garbage.collected()
        collect()
      },
    }
    // Elsewhere nothing is known of what happens when a thread ends.
    if (isNode) {
      this.native.watchEnd()
      if (!isMainThread) this.native.lookEachTurn()
    }
    this.arena =
      leaks === undefined
        ? new Arena(words, this.native, collect)
        : new WatchedArena(leaks, words, this.native, collect)
    if (!isBun && this.native.countTurns()) stepBudget.countedByCore(words, turnsWord)
  }

  /**
   * Puts the chunks of a batch into `found`; returns how many there are. A caller that keeps `found` until the end of the
   * batch has them at its last record as well. In {@link chunks} there may be none any more by then, or others.
   */
  findChunks(batch: Int32Array, found: (Chunk | undefined)[]): number {
    const count = batch[1] as number
    for (let index = 0; index < count; index += 1) {
      const handle = batch[batchHeader + index] as number
      found[index] = this.chunks[handle]
      receivedMemory?.used(handle)
    }
    return count
  }

  /**
   * A copy of a message whose `ArrayBuffer` user code has detached, as a chunk of its own. The core keeps what a batch names.
   *
   * @throws NetpollError `ENOMEM`, also where the engine has not taken the chunk
   */
  copy(handle: number, start: number, length: number): Chunk {
    // In the engine's own memory, which may be moved to another thread like any other.
    const copy = allocate(length)
    if (!this.native.copy(handle, start, copy))
      throw outOfMemory('a message that has come cannot be handed over')
    return new Chunk(copy)
  }

  /**
   * Lets go of the chunks that {@link findChunks} has put into `found`. Kept until a later batch has as many, they would not be
   * collected.
   */
  forgetChunks(found: (Chunk | undefined)[], count: number): void {
    for (let index = 0; index < count; index += 1) found[index] = undefined
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
   * No event loop is left: nothing keeps this any more but references to it. Chunks and the arena stay what they are.
   * Returns false while bytes may still come in chunks that it holds: then it goes on, and is to be asked again. One that is
   * kept goes on until its thread ends.
   */
  suspend(): boolean {
    if (this.#isInUse && !this.#isKept && this.native.suspend()) this.#isInUse = false
    return this.#isKept || !this.#isInUse
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
   * To be called with each batch once it is under way, and not where a chunk is made known. The core puts the batch into
   * the words then, and a timer runs users' asynchronous hooks, which may turn the event loop.
   */
  sweepWhenQuiet(): void {
    if (!this.#isSweepDue) return
    this.#isSweepDue = false
    this.#sweepLater()
  }

  /**
   * A chunk is released when the next one comes, if it is not the thread's last. The rest is released once nothing has come
   * for a while; an idle thread has no timer.
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
    switch ((cause as { readonly code?: unknown }).code) {
      case 'refused':
        throw externalMemoryRefused(cause)
      case 'lacking':
        throw outOfMemory('Memory for what connections send could not be allocated', cause)
      default:
        throw cause
    }
  }
}

let current: ThreadMemory | undefined

// What waits for a connection may leak where none was ever made, and so no memory.
detectLeaks(fullCollection)

/**
 * The memory of this thread.
 *
 * @throws as {@link ThreadMemory}
 */
export function threadMemory(): ThreadMemory {
  current ??= new ThreadMemory()
  return current
}
