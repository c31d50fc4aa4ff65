import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { readonly type: 'minor' }) => void

/**
 * A function that collects short-lived garbage, which takes about 0.1 ms where little of it lives.
 *
 * V8 does so by itself for `ArrayBuffer`s that it allocated, as soon as a few megabytes of them are
 * young. Of memory that a native module owns it only counts the total, and at 64 MB runs a full
 * collection. At gigabytes per second of large messages that costs a third of the throughput, so the
 * core asks for the small collection in time (`buffer/reclaim.rs` says when).
 *
 * V8 gives the function to contexts that are made while the flag is set. It is set for a moment, for the
 * whole process: only a context that another thread makes in that moment sees it, too.
 */
export function minorCollection(): () => void {
  const collect = (globalThis as { gc?: Collect }).gc ?? contextCollect()
  return () => collect?.({ type: 'minor' })
}

function contextCollect(): Collect | undefined {
  setFlagsFromString('--expose-gc')
  try {
    return runInNewContext("typeof gc === 'function' ? gc : undefined") as Collect | undefined
  } finally {
    setFlagsFromString('--no-expose-gc')
  }
}
