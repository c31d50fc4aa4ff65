import { createInflate, inflateSync } from 'node:zlib'

import { allocate, asShortage, joinBytes, minorCollection, setImmediate } from '../extension'
import { NetpollError, withoutStack } from '../errors'

/** A message to inflate, and the call that waits for it. Exactly one of its ends is reported. */
export interface InflationJob {
  /** While it waits this is a copy: where it arrived, others may transfer the memory away, and it would keep all of it. */
  payload: Uint8Array
  /** Most bytes that may become of it. */
  readonly most: number
  /** Says that it becomes more. */
  tooLarge(): unknown
  /** Whether a call still waits. */
  readonly isWanted: boolean
  /** So many more bytes are held. False where they must not be. */
  claim(bytes: number): boolean
  inflated(bytes: Buffer): void
  failed(error: unknown): void
  /** It is not wanted any more. */
  dropped(): void
}

/** What becomes no more than this is inflated at once, in this thread: it costs less than to let another one do it. */
const smallLength = 16 * 1024

/** Bytes that are tried in this way in one turn of the event loop. They become values, and others wait meanwhile. */
const turnLength = 16 * smallLength

/** Larger ones that are inflated at a time. Each takes one of the four threads that files and names need, too. */
const maxAtOnce = 2

/** Bytes of a piece of a larger one. Of pieces of a MiB the C library keeps up to 60 MiB when they are freed. */
const pieceLength = 64 * 1024

/** Bytes that became garbage, at which it is collected. V8 by itself lets hundreds of megabytes of them lie. */
const garbageLength = 8 * 1024 * 1024

/** As it is when this is loaded: later a test may replace it by a fake clock. */
const nextTurn = setImmediate

/**
 * The messages that the transports of this thread inflate. Each is tried at once, so that a small one never waits for large
 * ones. Larger messages go to other threads, a few at a time.
 */
class InflationQueue {
  readonly #untried: InflationJob[] = []
  readonly #large: InflationJob[] = []
  #running = 0
  #turnLeft = turnLength
  #isTurnWatched = false
  #garbage = 0
  #collect: (() => void) | undefined

  /** So many bytes that were inflated are needed no more. */
  discarded(bytes: number): void {
    this.#garbage += bytes
    if (this.#garbage < garbageLength) return
    this.#garbage = 0
    this.#collect ??= minorCollection()
    this.#collect()
  }

  add(job: InflationJob): void {
    if (this.#untried.length === 0 && this.#takeTry()) this.#try(job)
    else keep(this.#untried, job)
  }

  #takeTry(): boolean {
    if (!this.#isTurnWatched) {
      this.#isTurnWatched = true
      nextTurn(() => this.#turned())
    }
    if (this.#turnLeft === 0) return false
    this.#turnLeft -= smallLength
    return true
  }

  #turned(): void {
    this.#isTurnWatched = false
    this.#turnLeft = turnLength
    while (this.#untried.length > 0 && this.#takeTry()) this.#try(this.#untried.shift() as InflationJob)
  }

  #try(job: InflationJob): void {
    if (!job.isWanted) {
      job.dropped()
      return
    }
    const tried = Math.min(smallLength, job.most)
    let bytes: Buffer
    try {
      bytes = inflateSync(job.payload, { maxOutputLength: Math.max(1, tried) })
    } catch (error) {
      if (!isTooLarge(error)) job.failed(asShortage(error))
      else if (tried === job.most) job.failed(job.tooLarge())
      else keep(this.#large, job)
      this.#startLarge()
      return
    }
    if (bytes.length > job.most) job.failed(job.tooLarge())
    else if (!job.claim(bytes.length)) job.failed(bufferLimit())
    // Not in the piece that it was inflated to, which is larger.
    else finish(job, () => copyOf(bytes))
  }

  #startLarge(): void {
    while (this.#running < maxAtOnce) {
      const job = this.#large.shift()
      if (job === undefined) return
      if (job.isWanted) this.#start(job)
      else job.dropped()
    }
  }

  #start(job: InflationJob): void {
    this.#running += 1
    const stream = createInflate({ chunkSize: pieceLength })
    const pieces: Buffer[] = []
    let length = 0
    let isOver = false
    const end = (tell: () => void): void => {
      if (isOver) return
      isOver = true
      this.#running -= 1
      stream.destroy()
      try {
        tell()
      } finally {
        pieces.length = 0
        this.discarded(length)
        this.#startLarge()
      }
    }
    stream.on('data', (piece: Buffer) => {
      if (isOver) return
      length += piece.length
      if (!job.isWanted) end(() => job.dropped())
      else if (length > job.most) end(() => job.failed(job.tooLarge()))
      else if (!job.claim(piece.length)) end(() => job.failed(bufferLimit()))
      else pieces.push(piece)
    })
    stream.on('end', () => end(() => finish(job, () => joinBytes(pieces))))
    stream.on('error', (error) => end(() => job.failed(asShortage(error))))
    stream.end(job.payload)
  }
}

/** That of this thread. */
export const inflationQueue = new InflationQueue()

/** Has it wait. */
function keep(queue: InflationJob[], job: InflationJob): void {
  try {
    job.payload = copyOf(job.payload)
  } catch (error) {
    job.failed(error)
    return
  }
  queue.push(job)
}

/** It is inflated, to what `make` puts into memory of its own. */
function finish(job: InflationJob, make: () => Buffer): void {
  let bytes: Buffer
  try {
    bytes = make()
  } catch (error) {
    job.failed(error)
    return
  }
  job.inflated(bytes)
}

/**
 * In memory that holds nothing else.
 *
 * @throws NetpollError `ENOMEM`
 */
export function copyOf(bytes: Uint8Array): Buffer {
  const copy = allocate(bytes.length)
  copy.set(bytes)
  return copy
}

function isTooLarge(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE'
}

function bufferLimit(): NetpollError {
  const message = 'Inflated messages, and unfinished ones of all connections, exceed maxBufferedBytes'
  return withoutStack(() => new NetpollError('ERR_BUFFER_LIMIT', message))
}
