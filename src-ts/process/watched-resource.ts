import { AsyncResource } from 'node:async_hooks'

/** An asynchronous resource that keeps no process alive, and says so to tools that look for what is open. */
export class PassiveResource extends AsyncResource {
  hasRef(): boolean {
    return false
  }
}

/**
 * An asynchronous resource that tells whether anything was left on it: what `enterWith` keeps there, the next to run in it
 * would see. A resource of its own for every message would tell, too, and cost more than the rest of handing it over.
 */
export class WatchedResource {
  readonly #resource: AsyncResource
  readonly #watched: AsyncResource
  /** What was written to since {@link isClean} was asked, and what was there before. */
  readonly #before = new Map<PropertyKey, unknown>()

  /** Within the context that is current. */
  constructor(name: string) {
    this.#resource = new PassiveResource(name)
    const before = this.#before
    this.#watched = new Proxy(this.#resource, {
      // Writing to a proxy defines the property, in the end.
      defineProperty(resource, key, descriptor) {
        if (!before.has(key)) before.set(key, Reflect.get(resource, key))
        return Reflect.defineProperty(resource, key, descriptor)
      },
    })
  }

  /** Calls `work` in this resource. */
  run(work: () => void): void {
    this.#watched.runInAsyncScope(work)
  }

  /** Whether everything is on it that was, and nothing else: `AsyncLocalStorage.run` puts back what it has changed. */
  get isClean(): boolean {
    const before = this.#before
    if (before.size === 0) return true
    for (const [key, value] of before) {
      if (Reflect.get(this.#resource, key) !== value) return false
    }
    before.clear()
    return true
  }
}
