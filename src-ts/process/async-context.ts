import { AsyncLocalStorage } from 'node:async_hooks'

import { PassiveResource, WatchedResource } from './watched-resource'

/** The asynchronous context that was current when it was captured: the user's code runs in it. */
export interface Context {
  /** Runs `work`. What it enters into an `AsyncLocalStorage` ends with it. */
  run<A, B, Result>(work: (a: A, b: B) => Result, a: A, b: B): Result
  /** Calls `batch`, within which {@link run} costs less. */
  around(batch: () => void): void
}

/** Node.js 24 and later: entering a scope replaces the whole context, and leaving it restores the old one. */
class FrameContext implements Context {
  readonly #resource = new PassiveResource('NETPOLL')

  run<A, B, Result>(work: (a: A, b: B) => Result, a: A, b: B): Result {
    return this.#resource.runInAsyncScope(work, undefined, a, b)
  }

  around(batch: () => void): void {
    batch()
  }
}

/** The context whose watched resource was entered for a batch, while none of the user's code runs. */
let entered: ResourceContext | undefined

/**
 * Node.js 20 and 22: `enterWith` writes to the current resource, and stays there. So each run gets a resource of
 * its own, made within the captured one, from which it takes what the storages hold. Those of a batch share one, as
 * long as none of them leaves anything on it.
 */
class ResourceContext implements Context {
  readonly #resource = new PassiveResource('NETPOLL')
  #shared: WatchedResource | undefined

  run<A, B, Result>(work: (a: A, b: B) => Result, a: A, b: B): Result {
    const before = entered
    if (before !== this) return this.#runApart(work, a, b)
    const shared = this.#shared
    entered = undefined
    try {
      return work(a, b)
    } finally {
      // It has been replaced where `work` has turned the event loop: that batch must not see what `work` has entered.
      if (shared !== undefined && shared === this.#shared && shared.isClean) entered = before
      else this.#shared = undefined
    }
  }

  around(batch: () => void): void {
    if (this.#shared?.isClean !== true) this.#shared = this.#resource.runInAsyncScope(newShared)
    this.#shared.run(() => this.#enter(batch))
  }

  #enter(batch: () => void): void {
    entered = this
    try {
      batch()
    } finally {
      entered = undefined
    }
  }

  #runApart<A, B, Result>(work: (a: A, b: B) => Result, a: A, b: B): Result {
    const before = entered
    entered = undefined
    try {
      return this.#resource.runInAsyncScope(runApart, undefined, work as never, a, b) as Result
    } finally {
      entered = before
    }
  }
}

/**
 * Node.js 24 and 26 with `--no-async-context-frame`: what `enterWith` sets stays with the resource, but is not written to it,
 * so that nothing tells. Each run gets a resource of its own, whatever the one before has done.
 */
class SeparateContext implements Context {
  readonly #resource = new PassiveResource('NETPOLL')

  run<A, B, Result>(work: (a: A, b: B) => Result, a: A, b: B): Result {
    return this.#resource.runInAsyncScope(runApart, undefined, work as never, a, b) as Result
  }

  around(batch: () => void): void {
    batch()
  }
}

const newShared = (): WatchedResource => new WatchedResource('NETPOLL_BATCH')

function runApart<A, B, Result>(work: (a: A, b: B) => Result, a: A, b: B): Result {
  return new PassiveResource('NETPOLL_CALLBACK').runInAsyncScope(work, undefined, a, b)
}

/** The way in which nothing that one run enters is seen by the next, found out by trying. */
function chooseContext(): new () => Context {
  const storage = new AsyncLocalStorage<true>()
  try {
    const resource = new PassiveResource('NETPOLL')
    resource.runInAsyncScope(() => storage.enterWith(true))
    const isKept = resource.runInAsyncScope(() => storage.getStore()) === true
    if (!isKept) return FrameContext
    const watched = newShared()
    watched.run(() => storage.enterWith(true))
    return watched.isClean ? SeparateContext : ResourceContext
  } finally {
    storage.disable()
  }
}

let implementation: (new () => Context) | undefined

/** The context of the caller. */
export function captureContext(): Context {
  implementation ??= chooseContext()
  return new implementation()
}
