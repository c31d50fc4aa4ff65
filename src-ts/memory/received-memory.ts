import { leaks, type WatchList } from '../leaks/watch-list'
import { originOf } from '../leaks/origin'
import { type Account, type Look, Watched } from '../leaks/watched'

/** Views that are watched at most, of all chunks. */
const maxViews = 50_000

/** Views of a chunk that are told of, at most. */
const maxTold = 3

/** A view that was handed out, and where it went. */
interface View {
  readonly view: WeakRef<Uint8Array>
  readonly length: number
  /** The connection that it came on, as it is watched. */
  readonly receiver: Watched | undefined
  /** The frames of the code that has asked for it; empty where it was handed to a handler. */
  readonly stack: string
}

/** A chunk of received messages. It may have bytes for as long as there is room, and after that its views alone keep it. */
class ReceivedChunk extends Watched {
  readonly #buffer: WeakRef<ArrayBufferLike>
  readonly #length: number
  #views: View[] = []
  #isRetired = false

  constructor(buffer: ArrayBufferLike) {
    super('chunk', '')
    this.#buffer = new WeakRef(buffer)
    this.#length = buffer.byteLength
  }

  get views(): number {
    return this.#views.length
  }

  /** Bytes may come there, once more. */
  adopted(): void {
    this.#isRetired = false
  }

  /** No more bytes come, or none have come for a while. */
  retired(): void {
    this.#isRetired = true
  }

  add(view: View): void {
    this.#views.push(view)
  }

  /** Lets go of what is known of views that are gone; returns of how many. */
  forgetGone(): number {
    const before = this.#views.length
    this.#views = this.#views.filter(({ view }) => view.deref() !== undefined)
    return before - this.#views.length
  }

  look(): Look {
    if (this.#buffer.deref() === undefined) return 'over'
    if (!this.#isRetired) return 'fine'
    return {
      what: 'of received messages is held by views',
      certainty: 'unlessGarbage',
      account: () => this.#account(),
    }
  }

  #account(): Account {
    this.forgetGone()
    const known = this.#views.slice(0, maxTold)
    const lengths = known.map(({ length }) => length).join(', ')
    const lines = [
      `  It has ${this.#length} bytes. Views that are known: ${this.#views.length}, of ${lengths} bytes`,
    ]
    const [{ stack = '', receiver } = {}] = known
    if (stack !== '') return { stack, lines: [...lines, '  The first view was asked for here:'] }
    if (receiver === undefined) return { stack, lines }
    return { stack: receiver.stack, lines: [...lines, '  The first view came on this connection:'] }
  }
}

/** The chunks of this thread that messages arrive in, and the views of them. */
class ReceivedMemory {
  readonly #list: WatchList
  readonly #chunks = new WeakMap<ArrayBufferLike, ReceivedChunk>()
  /** So that those can be counted anew whose views are gone. */
  readonly #all = new Set<WeakRef<ReceivedChunk>>()
  #views = 0

  constructor(list: WatchList) {
    this.#list = list
  }

  adopted(buffer: ArrayBufferLike): void {
    const known = this.#chunks.get(buffer)
    if (known !== undefined) {
      known.adopted()
      return
    }
    const chunk = this.#list.add(new ReceivedChunk(buffer))
    this.#chunks.set(buffer, chunk)
    this.#all.add(new WeakRef(chunk))
  }

  retired(buffer: ArrayBufferLike): void {
    this.#chunks.get(buffer)?.retired()
  }

  /**
   * As `make`, whose views handlers and callers get. Their stacks show nothing but this package, so that the connection says
   * more.
   */
  watchingHanded<Parameters extends unknown[]>(make: (...given: Parameters) => Buffer): typeof make {
    return (...given) => {
      const view = make(...given)
      this.#add(view, '')
      return view
    }
  }

  /** As `make`, whose views code of users asks for. */
  watchingTaken<Parameters extends unknown[]>(make: (...given: Parameters) => Buffer): typeof make {
    return (...given) => {
      const view = make(...given)
      if (this.#chunks.has(view.buffer)) this.#add(view, originOf())
      return view
    }
  }

  #add(view: Uint8Array, stack: string): void {
    const chunk = this.#chunks.get(view.buffer)
    if (chunk === undefined) return
    if (this.#views >= maxViews) this.#countAnew()
    if (this.#views >= maxViews) {
      this.#list.missed += 1
      return
    }
    this.#views += 1
    chunk.add({ view: new WeakRef(view), length: view.length, receiver: this.#list.receiver, stack })
  }

  #countAnew(): void {
    this.#views = 0
    for (const reference of this.#all) {
      const chunk = reference.deref()
      if (chunk === undefined) this.#all.delete(reference)
      else {
        chunk.forgetGone()
        this.#views += chunk.views
      }
    }
  }
}

/** `undefined` where leaks are not looked for. */
export const receivedMemory: ReceivedMemory | undefined = leaks && new ReceivedMemory(leaks)
