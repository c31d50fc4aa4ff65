import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options?: { readonly type: 'minor' }) => void

/** How often a host is asked for the function until it is taken to have none. */
const maxAttempts = 16

/**
 * A function that collects short-lived garbage, which takes about 0.1 ms where little of it lives.
 *
 * V8 does so by itself for `ArrayBuffer`s that it allocated, as soon as a few megabytes of them are
 * young. Of memory that a native module owns it only counts the total, and at 64 MB runs a full
 * collection. At gigabytes per second of large messages that costs a third of the throughput. So the
 * core asks for the small collection in time (`buffer/reclaim.rs` says when).
 *
 * V8 gives the function to contexts that are made while the flag is set. It is set for a moment, for the
 * whole process: a context that another thread makes in that moment sees it, too. And where another thread takes the flag
 * back before the context is made, there is none: then the next collection asks again.
 */
export function minorCollection(): () => void {
  return collection((collect) => collect({ type: 'minor' }))
}

/** As {@link minorCollection}, of all garbage, which takes as long as V8 needs to look at all that lives. */
export function fullCollection(): () => void {
  return collection((collect) => collect())
}

function collection(ask: (collect: Collect) => void): () => void {
  let collect = (globalThis as { gc?: Collect }).gc
  let attempts = 0
  // Not before it is needed: a thread that starts in that moment and is ended would have V8 print what failed.
  return () => {
    if (collect === undefined && attempts < maxAttempts) {
      attempts += 1
      collect = contextCollect()
    }
    if (collect !== undefined) ask(collect)
  }
}

function contextCollect(): Collect | undefined {
  setFlagsFromString('--expose-gc')
  try {
    return runInNewContext("typeof gc === 'function' ? gc : undefined") as Collect | undefined
  } finally {
    setFlagsFromString('--no-expose-gc')
  }
}
