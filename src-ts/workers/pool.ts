import { setEnvironmentData, Worker } from 'node:worker_threads'

import { serverClosed } from '../errors'
import { frame, type FramingRules } from '../framing/rules'
import type { BytesOption } from '../memory/message-types'
import { addonPath, type NativeWorkPool, nativeBinding } from '../native/binding'
import type { NativeWorkers } from '../connection/group'
import { clearTimeout, setTimeout } from '../time/timers'
import { isWorkerMessage, startKey, type WorkerMessage, type WorkerStart } from './messages'
import { receiveError } from './posted-error'
import type { CheckedWorkers } from './options'
import { threadFile } from './thread-file'

/** Counts of a worker pool. */
export interface WorkerStats {
  /** Threads that take requests now. */
  readonly threads: number
  /** Requests that wait for a worker. */
  readonly queued: number
  /** Requests that workers handle. */
  readonly running: number
  /** Requests given to workers since the start. */
  readonly requests: number
}

/** The owner of a pool. */
export interface WorkerPoolOwner {
  readonly framing: FramingRules
  readonly bytes: BytesOption
  /** A handler has failed for a request from there. */
  failed(error: unknown, source: FailedSource): void
  /** A worker has ended out of order, and another takes its place. */
  workerFailed(error: unknown): void
}

/** Where a request came from. */
export type FailedSource = Extract<WorkerMessage, { readonly netpoll: 'failed' }>['source']

/** How long the first replacement of a worker that never took a request waits; then twice as long, and so on. */
const firstDelay = 100
const maxDelay = 5_000

/** The threads of a server's workers: started as they are needed, and replaced when they die. */
export class WorkerPool {
  readonly #options: CheckedWorkers
  readonly #owner: WorkerPoolOwner
  readonly #native: NativeWorkPool
  readonly #file: string
  readonly #threads = new Set<Worker>()
  /** Those of them that take requests. */
  readonly #ready = new Set<Worker>()
  /** Those that have left the pool and end. */
  readonly #retired = new Set<Worker>()
  readonly #timers = new Set<NodeJS.Timeout>()
  /** Whether another thread was asked for while there were as many as may be. */
  #wantsThread = false
  /** How many in a row have ended before they took requests. */
  #failures = 0
  #isClosed = false
  #whenReady: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined

  /** @throws NetpollError `ERR_UNSUPPORTED` where the file that threads run is missing, or there is no add-on */
  constructor(options: CheckedWorkers, owner: WorkerPoolOwner) {
    this.#options = options
    this.#owner = owner
    this.#file = threadFile()
    const { loadBalance, concurrentTasksPerWorker, maxQueue, minThreads } = options
    const { WorkPool } = nativeBinding()
    this.#native = new WorkPool(
      {
        assignment: loadBalance,
        concurrency: concurrentTasksPerWorker,
        maxQueued: maxQueue,
        minWorkers: minThreads,
      },
      { receiver: this, grow: () => this.#grow() },
    )
  }

  /** Of an asynchronous resource: whether it keeps the process alive. Its threads are resources of their own. */
  hasRef(): boolean {
    return false
  }

  /** What connections are told of the pool. */
  get native(): NativeWorkers {
    const { lostReply } = this.#options
    const { framing } = this.#owner
    return lostReply === undefined
      ? { pool: this.#native }
      : { pool: this.#native, lostReply: frame(framing, lostReply) }
  }

  /** What it has done and holds. */
  stats(): WorkerStats {
    const { workers, queued, running, submitted } = this.#native.stats()
    return { threads: workers, queued, running, requests: submitted }
  }

  /**
   * Starts threads; resolves when the first takes requests. The process stays alive meanwhile.
   *
   * @throws what the first thread ends with, if none has taken requests before; NetpollError `ERR_SERVER_CLOSED` when it is
   * closed before that
   */
  async start(): Promise<void> {
    const { minThreads, maxThreads, loadBalance } = this.#options
    const count = loadBalance === 'sticky' ? maxThreads : minThreads
    await new Promise<void>((resolve, reject) => {
      this.#whenReady = { resolve, reject }
      for (let index = 0; index < count; index += 1) this.#startThread()
    })
  }

  /** Ends all threads, whatever they do. Requests without an answer are lost. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#native.close()
    this.#whenReady?.reject(serverClosed())
    this.#whenReady = undefined
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all([...this.#threads].map((thread) => thread.terminate()))
  }

  /** Requests wait, and every worker is busy. */
  #grow(): void {
    if (this.#isClosed) return
    this.#wantsThread = this.#threads.size + this.#timers.size >= this.#options.maxThreads
    if (!this.#wantsThread) this.#startAnother()
  }

  /** Starts a thread that no call waits for. Node.js may refuse one now that it has allowed before. */
  #startAnother(): void {
    try {
      this.#startThread()
    } catch (error) {
      this.#owner.workerFailed(error)
      // What waits for it would wait for ever.
      if (this.#threads.size === 0) this.#startLater()
    }
  }

  #startThread(): void {
    const { module, idleTimeout, workerData } = this.#options
    const { framing, bytes } = this.#owner
    const start: WorkerStart = {
      pool: this.#native.number,
      addon: addonPath(),
      module,
      framing: framing.native,
      bytes,
      idleTimeout,
    }
    const thread = newWorker(this.#file, start, workerData)
    this.#threads.add(thread)
    let failure: unknown
    thread.on('message', (message: unknown) => {
      if (isWorkerMessage(message)) this.#told(thread, message)
    })
    thread.on('error', (error) => {
      failure = error
    })
    thread.on('exit', (code) => this.#ended(thread, failure ?? endedError(code)))
    // The server keeps the process, and not its workers. A listener would reference it again.
    if (this.#whenReady === undefined) thread.unref()
  }

  #told(thread: Worker, message: WorkerMessage): void {
    switch (message.netpoll) {
      case 'ready':
        this.#isReady(thread)
        break
      case 'retired':
        this.#retired.add(thread)
        break
      case 'failed':
        this.#owner.failed(receiveError(message.error), message.source)
        break
    }
  }

  #isReady(thread: Worker): void {
    this.#ready.add(thread)
    this.#failures = 0
    // It is asked for again, if this was not enough.
    this.#wantsThread = false
    if (this.#whenReady === undefined) return
    this.#whenReady.resolve()
    this.#whenReady = undefined
    for (const started of this.#threads) started.unref()
  }

  #ended(thread: Worker, error: unknown): void {
    this.#threads.delete(thread)
    const wasReady = this.#ready.delete(thread)
    const hasRetired = this.#retired.delete(thread)
    if (this.#isClosed) return
    if (hasRetired) {
      if (this.#wantsThread) this.#grow()
      return
    }
    if (this.#whenReady !== undefined) {
      this.#whenReady.reject(error)
      this.#whenReady = undefined
      void this.close()
      return
    }
    this.#owner.workerFailed(error)
    if (wasReady) this.#startAnother()
    else this.#startLater()
  }

  /** A worker that ends before it takes requests will probably do so again. */
  #startLater(): void {
    const delay = Math.min(firstDelay * 2 ** this.#failures, maxDelay)
    this.#failures += 1
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#isClosed) this.#startAnother()
    }, delay)
    timer.unref()
    this.#timers.add(timer)
  }
}

function endedError(code: number): Error {
  return new Error(`A worker ended with exit code ${code}`)
}

function newWorker(file: string, start: WorkerStart, workerData: unknown): Worker {
  // What new threads find, and not `workerData`, which is the user's. It is cloned at once.
  setEnvironmentData(startKey, start as never)
  try {
    return new Worker(file, { workerData })
  } finally {
    setEnvironmentData(startKey, undefined as never)
  }
}
