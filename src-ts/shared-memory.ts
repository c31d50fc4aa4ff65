import { Arena, arenaWords } from './arena'
import { adoptChunk, type Chunk } from './chunk'
import { minorCollection } from './minor-collection'
import { type NativeMemory, nativeBinding } from './native'

/**
 * The memory that this thread shares with the core: chunks that messages arrive in, and the arena for what is sent. One for
 * all event loops of the thread.
 */
export class SharedMemory {
  readonly native: NativeMemory
  readonly arena: Arena
  /** Chunks that more bytes may come in, by handle. */
  readonly chunks: (Chunk | undefined)[] = []

  constructor() {
    const words = new Int32Array(arenaWords)
    const { Memory } = nativeBinding()
    this.native = new Memory(words, {
      receiver: this,
      adopt: (handle, buffer) => {
        this.chunks[handle] = adoptChunk(handle, buffer)
      },
      retire: (handle) => {
        this.chunks[handle] = undefined
      },
      collect: minorCollection(),
    })
    this.arena = new Arena(words, this.native)
  }
}

let current: SharedMemory | undefined

/** The memory of this thread. */
export function sharedMemory(): SharedMemory {
  current ??= new SharedMemory()
  return current
}
