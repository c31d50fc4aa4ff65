/**
 * What a worker thread runs: loads the handler's module, and takes requests for it. Users who bundle make a file of this
 * name of the entry `netpoll/worker`.
 *
 * @example
 * ```ts
 * // netpoll-worker.ts, an entry of its own beside the bundle
 * import 'netpoll/worker'
 * ```
 */
import { getEnvironmentData, parentPort } from 'node:worker_threads'

import { rulesFrom } from '../framing/rules'
import { useAddon } from '../native/binding'
import { clearInterval, setImmediate, setInterval } from '../time/timers'
import { WorkerQueue, type WorkerQueueOptions } from './worker-queue'
import { isAsyncFunction } from '../checks/thenables'
import type { Origin, WorkerCursorHandler, WorkerHandler } from './handler'
import { startKey, type WorkerMessage, type WorkerStart } from './messages'
import { postError } from './posted-error'

/** Not there where a program imports this, although no server has started the thread. */
const given = getEnvironmentData(startKey) as unknown as WorkerStart | undefined

function tell(message: WorkerMessage): void {
  parentPort?.postMessage(message)
}

function failed(error: unknown, source: Origin): void {
  postError(error, (posted) => tell({ netpoll: 'failed', error: posted, source }))
}

/** Ends the thread once it has had nothing to do for so many milliseconds, unless too few are left. */
function watchIdleness(workerQueue: WorkerQueue, milliseconds: number): void {
  let seen = -1
  const timer = setInterval(() => {
    if (seen === workerQueue.taken && workerQueue.retire()) {
      clearInterval(timer)
      tell({ netpoll: 'retired' })
      // What the handler's module has open would keep the thread.
      process.exit()
    }
    seen = workerQueue.taken
  }, milliseconds)
  timer.unref()
}

/** What a workers' module may export. */
interface WorkerModule {
  readonly default?: unknown
  readonly onMessage?: unknown
}

/** The handler of a module: its default export, or what it exports as `onMessage`. */
function handlerOf(loaded: WorkerModule, url: string): Pick<WorkerQueueOptions, 'handler' | 'onMessage'> {
  // A CommonJS module's exports are its default export; one compiled from an ES module has another within.
  const outer = loaded.default
  const inner: unknown = isModule(outer) && 'default' in outer ? outer.default : outer
  const onMessage = loaded.onMessage ?? (isModule(outer) ? outer.onMessage : undefined)
  // All of a module's source may be in its URL.
  const name = url.startsWith('data:') ? 'the data: URL' : url
  if (onMessage === undefined) {
    if (typeof inner === 'function') return { handler: inner as WorkerHandler }
    throw new TypeError(`The default export of ${name} is no function`)
  }
  if (typeof onMessage !== 'function') throw new TypeError(`The export "onMessage" of ${name} is no function`)
  if (typeof inner === 'function') throw new TypeError(`${name} exports a default function and "onMessage"`)
  if (isAsyncFunction(onMessage))
    throw new TypeError(`The export "onMessage" of ${name} is an async function`)
  return { onMessage: onMessage as WorkerCursorHandler }
}

function isModule(value: unknown): value is WorkerModule {
  return typeof value === 'object' && value !== null
}

async function run(start: WorkerStart): Promise<void> {
  useAddon(start.addon)
  const loaded: WorkerModule = await import(/* webpackIgnore: true */ start.module)
  const { pool, framing, bytes, idleTimeout } = start
  const workerQueue = new WorkerQueue({
    pool,
    framing: rulesFrom(framing),
    bytes,
    ...handlerOf(loaded, start.module),
    failed,
  })
  if (idleTimeout > 0) watchIdleness(workerQueue, idleTimeout)
  tell({ netpoll: 'ready' })
}

if (given !== undefined) {
  run(given).catch((error: unknown) => {
    // As an exception it ends the thread whatever the process does about rejections.
    setImmediate(() => {
      throw error
    })
  })
}
