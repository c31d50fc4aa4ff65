import { availableParallelism } from 'node:os'
import { fileURLToPath, pathToFileURL, URL } from 'node:url'

import { invalidType, invalidValue } from '../errors'
import { hrefOf } from '../checks/kinds'
import { optionNames, takeOptions } from '../checks/known-options'
import { checkPayload, type Payload } from '../memory/payload'
import { timeLimit, timeLimits } from '../time/time-limits'
import { checkInteger } from '../checks/arguments'

/** Which worker gets a request. */
export type WorkerLoadBalance =
  /** The one that has the fewest. */
  | 'leastOutstanding'
  /** One after the other, as far as they have room. */
  | 'roundRobin'
  /** Always the same for one connection, so that what a worker keeps of it is there. */
  | 'sticky'

/**
 * Worker threads that handle requests. The names are those of the npm package `piscina`, where it has them.
 */
export interface WorkersOptions {
  /**
   * The module whose default export is the handler: a URL, also a `data:` URL, or an absolute path. It is loaded once in each
   * worker thread. The handler is called as {@link WorkerHandler} says.
   */
  readonly module: string | URL
  /** Threads: sets `minThreads` and `maxThreads` to the same number. */
  readonly threads?: number | undefined
  /** Threads that are kept. Default: `maxThreads`. */
  readonly minThreads?: number | undefined
  /** Threads at most, started when requests wait. Default: as many as the machine can run at once. */
  readonly maxThreads?: number | undefined
  /**
   * Requests that may wait for a worker, of all connections. At that connections are not read until fewer wait: nothing
   * is dropped. Default 1,024.
   */
  readonly maxQueue?: number | undefined
  /**
   * Requests that a worker handles at once. Default 1, which is right for handlers that compute; more are for handlers that
   * wait for something.
   */
  readonly concurrentTasksPerWorker?: number | undefined
  /** Milliseconds without a request after which a thread above `minThreads` ends; 0 for never. Default 0. */
  readonly idleTimeout?: number | undefined
  /** Which worker gets a request. Default `'leastOutstanding'`. With `'sticky'` all `maxThreads` are started at once. */
  readonly loadBalance?: WorkerLoadBalance | undefined
  /**
   * The reply to a request that was lost because its worker died or was terminated. Without it the connection closes, once
   * the replies before it have left.
   */
  readonly lostReply?: Payload | undefined
  /** What the handler's module finds as `workerData` of `node:worker_threads`: cloned. */
  readonly workerData?: unknown
}

const workersNames = optionNames<WorkersOptions>({
  module: true,
  threads: true,
  minThreads: true,
  maxThreads: true,
  maxQueue: true,
  concurrentTasksPerWorker: true,
  idleTimeout: true,
  loadBalance: true,
  lostReply: true,
  workerData: true,
})

/** {@link WorkersOptions} after checking. */
export interface CheckedWorkers {
  readonly module: string
  readonly minThreads: number
  readonly maxThreads: number
  readonly maxQueue: number
  readonly concurrentTasksPerWorker: number
  readonly idleTimeout: number
  readonly loadBalance: WorkerLoadBalance
  readonly lostReply: Payload | undefined
  readonly workerData: unknown
}

/** More threads than this are a mistake. */
const threadLimit = 1_024
/** More than fit into one batch. */
const concurrencyLimit = 1_000

/** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
export function checkWorkers(given: WorkersOptions): CheckedWorkers {
  const options = takeOptions('options.workers', given, workersNames)
  const number = (name: keyof WorkersOptions, fallback: number, min: number, max: number): number => {
    const { [name]: value = fallback } = options
    checkInteger(`options.workers.${name}`, value, min, max)
    return value as number
  }
  const threads = number('threads', availableParallelism(), 1, threadLimit)
  const { minThreads: min = 0 } = options
  const maxThreads = number('maxThreads', Math.max(threads, min), 1, threadLimit)
  const minThreads = number('minThreads', maxThreads, 1, threadLimit)
  if (minThreads > maxThreads) {
    throw invalidValue('options.workers.minThreads', 'must not be more than maxThreads', minThreads)
  }
  if (options.lostReply !== undefined) checkPayload('options.workers.lostReply', options.lostReply)
  return {
    module: checkModule(options.module),
    minThreads,
    maxThreads,
    maxQueue: number('maxQueue', 1_024, 0, 2 ** 31 - 1),
    concurrentTasksPerWorker: number('concurrentTasksPerWorker', 1, 1, concurrencyLimit),
    idleTimeout: timeLimit(
      'options.workers.idleTimeout',
      options.idleTimeout,
      timeLimits.workers.idleTimeout,
    ),
    loadBalance: checkBalance(options.loadBalance),
    lostReply: options.lostReply,
    workerData: options.workerData,
  }
}

/** As URL. What kinds of URL there are is for the loader to say: users can teach it others. */
function checkModule(module: unknown): string {
  const text = hrefOf(module) ?? module
  if (typeof text !== 'string' || text === '') {
    throw invalidType('options.workers.module', 'a URL or an absolute path', module)
  }
  if (text.startsWith('/')) return pathToFileURL(text).href
  if (!URL.canParse(text)) {
    const problem = 'must be an absolute path or a URL, such as import.meta.url or a data: URL'
    throw invalidValue('options.workers.module', problem, module)
  }
  const url = new URL(text)
  // Refuses what is no file of this machine.
  if (url.protocol === 'file:') fileURLToPath(url)
  return url.href
}

function checkBalance(value: unknown): WorkerLoadBalance {
  if (value === undefined) return 'leastOutstanding'
  if (value === 'leastOutstanding' || value === 'roundRobin' || value === 'sticky') return value
  throw invalidType('options.workers.loadBalance', "'leastOutstanding', 'roundRobin' or 'sticky'", value)
}
