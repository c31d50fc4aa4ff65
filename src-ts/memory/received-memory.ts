import { leaks, type WatchList } from '../leaks/watch-list'
import { originOf } from '../leaks/origin'
import { type Account, type Look, Watched } from '../leaks/watched'

/** Views that are watched at most, of all chunks. */
const maxViews = 50_000

/** Views of a chunk, or places that have got some, that are told of, at most. */
const maxTold = 3

const watchedAs = Symbol('netpoll.watched')

type ChunkBuffer = ArrayBufferLike & { [watchedAs]?: ReceivedChunk }

/** A view that was handed out. */
interface View {
  readonly view: WeakRef<Uint8Array>
  readonly length: number
  /** The frames of the code that has got it, or of its connection. */
  readonly stack: string
}

/** What a chunk is kept by. */
interface ChunkKeeper {
  /** Whether a chunk was not collected. */
  has(chunk: ReceivedChunk): boolean
  /** One was held for too long. */
  told(): void
}

/**
 * A chunk of received messages. Bytes may come there for as long as there is room, and after that its views alone keep it.
 *
 * The core knows whether it was collected. A `WeakRef` would keep it and its views until the next collection of all garbage.
 */
class ReceivedChunk extends Watched {
  readonly #length: number
  readonly #keeper: ChunkKeeper
  /** The places that have got views, and how many. */
  readonly #places = new Map<string, number>()
  /** Where views are watched one by one. */
  #views: View[] | undefined
  /** Whether a batch has named it since the last look. */
  #isBusy = true
  #isRetired = false

  constructor(length: number, keeper: ChunkKeeper, views: View[] | undefined) {
    super('chunk', '')
    this.#length = length
    this.#keeper = keeper
    this.#views = views
  }

  /** Whether each of its views is watched. */
  get isExact(): boolean {
    return this.#views !== undefined
  }

  /** Bytes may come there, once more. */
  adopted(): void {
    this.#isRetired = false
    this.#isBusy = true
  }

  /** A batch has named it. */
  used(): void {
    this.#isBusy = true
  }

  /** No more bytes come, or none have come for a while. */
  retired(): void {
    this.#isRetired = true
  }

  handedTo(stack: string): void {
    const count = this.#places.get(stack)
    if (count !== undefined || this.#places.size < maxTold) this.#places.set(stack, (count ?? 0) + 1)
  }

  add(view: View): void {
    this.#views?.push(view)
  }

  /** Lets go of what is known of views that are gone; returns how many are left. */
  forgetGone(): number {
    if (this.#views === undefined) return 0
    this.#views = this.#views.filter(({ view }) => view.deref() !== undefined)
    return this.#views.length
  }

  look(): Look {
    if (!this.#keeper.has(this)) return 'over'
    const isBusy = this.#isBusy
    this.#isBusy = false
    if (this.#isRetired)
      return {
        what: 'of received messages is held by views',
        certainty: 'unlessGarbage',
        account: () => this.#account(),
      }
    return isBusy ? 'fine' : { what: 'of received messages is kept although none come', certainty: 'certain' }
  }

  #account(): Account {
    this.#keeper.told()
    this.forgetGone()
    const size = `  It has ${this.#length} bytes.`
    const [held] = this.#views ?? []
    if (held !== undefined) {
      const lengths = this.#views?.slice(0, maxTold).map(({ length }) => length)
      const lines = [`${size} Views that are left: ${this.#views?.length}, of ${lengths?.join(', ')} bytes`]
      return { stack: held.stack, lines: [...lines, '  The first of them went here:'] }
    }
    const counts = Array.from(this.#places.values()).join(' and ')
    const lines = [`${size} Views that were made of it: ${counts}. They went here, and some are left:`]
    return { stack: Array.from(this.#places.keys()).join('\n  and here:\n'), lines }
  }
}

/** The chunks of this thread that messages arrive in, and the views of them. */
class ReceivedMemory {
  readonly #list: WatchList
  /** By handle. */
  readonly #chunks: (ReceivedChunk | undefined)[] = []
  #isKnown: (handle: number) => boolean = () => false
  /** Since one was held for too long, each view of further ones is watched, as many as there may be. */
  #isExact = false
  #views = 0

  constructor(list: WatchList) {
    this.#list = list
  }

  /** `isKnown` says whether the core still knows the handle of a chunk. */
  begin(isKnown: (handle: number) => boolean): void {
    this.#isKnown = isKnown
  }

  adopted(handle: number, buffer: ArrayBufferLike): void {
    const known = (buffer as ChunkBuffer)[watchedAs]
    if (known !== undefined) {
      known.adopted()
      return
    }
    const keeper: ChunkKeeper = {
      has: (one) => this.#chunks[handle] === one && this.#isKnown(handle),
      told: () => {
        this.#isExact = true
      },
    }
    const chunk = new ReceivedChunk(buffer.byteLength, keeper, this.#isExact ? [] : undefined)
    ;(buffer as ChunkBuffer)[watchedAs] = chunk
    this.#chunks[handle] = chunk
    this.#list.add(chunk)
  }

  /** A batch names it. */
  used(handle: number): void {
    this.#chunks[handle]?.used()
  }

  retired(handle: number): void {
    this.#chunks[handle]?.retired()
  }

  /** As `make`, whose views handlers and callers get. Their stacks show nothing but this package: the connection says more. */
  watchingHanded<Parameters extends unknown[]>(make: (...given: Parameters) => Buffer): typeof make {
    return (...given) => {
      const view = make(...given)
      this.#add(view, () => this.#list.receiver?.stack ?? '')
      return view
    }
  }

  /** As `make`, whose views code of users asks for. */
  watchingTaken<Parameters extends unknown[]>(make: (...given: Parameters) => Buffer): typeof make {
    return (...given) => {
      const view = make(...given)
      this.#add(view, () => originOf(this.#list.receiver?.stack))
      return view
    }
  }

  #add(view: Uint8Array, askStack: () => string): void {
    const chunk = (view.buffer as ChunkBuffer)[watchedAs]
    if (chunk === undefined) return
    const stack = askStack()
    chunk.handedTo(stack)
    if (!chunk.isExact) return
    if (this.#views >= maxViews) this.#countAnew()
    // Its chunk is watched all the same.
    if (this.#views >= maxViews) return
    this.#views += 1
    chunk.add({ view: new WeakRef(view), length: view.length, stack })
  }

  #countAnew(): void {
    this.#views = 0
    for (const chunk of this.#chunks) this.#views += chunk?.forgetGone() ?? 0
  }
}

/** `undefined` where leaks are not looked for. */
export const receivedMemory: ReceivedMemory | undefined = leaks && new ReceivedMemory(leaks)
