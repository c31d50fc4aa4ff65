import { finished, type Readable, type Writable } from 'node:stream'

import { copyBytes } from '../memory/allocation'
import { bufferOf, isUint8Array, lengthOf, offsetOf } from '../checks/bytes'
import { invalidType, NetpollError } from '../errors'
import { foreign, type Piece } from './pieces'
import { feed, newReader, type Reader } from './reader'
import { newWriter, type Writer } from './writer'
import { stepBudget } from '../time/step-budget'
import { threadMemory } from '../memory/thread-memory'
import { checkObject } from '../checks/arguments'

/**
 * A reader over `source`: a Node.js stream, or anything else that iterates over bytes. It takes a piece from the source
 * when a caller waits for more bytes than have arrived; `for await` over it works as well.
 *
 * The pieces are read from where they are: do not change them. The end of the source ends the reader and nothing else: a
 * duplex can still be written to, and has to be ended.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`
 *
 * @example
 * ```ts
 * import { createReadStream } from 'node:fs'
 * import { readerFrom } from 'netpoll'
 *
 * const reader = readerFrom(createReadStream('certificate.pem'))
 * await reader.fillUntil('\n')
 * console.log(String(reader.until('\n')).trim()) // -----BEGIN CERTIFICATE-----
 * ```
 */
export function readerFrom(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Reader {
  const iterator = iterate(source)
  const reader = newReader({
    consumed: () => {},
    awaited: () => void pull(reader, iterator),
  })
  return reader
}

/**
 * A writer that belongs to no connection. {@link Writer.append} adds its bytes to one that does.
 *
 * @example
 * ```ts
 * import { PassThrough } from 'node:stream'
 * import { createWriter, writerTo } from 'netpoll'
 *
 * const body = createWriter()
 * body.writeString('hello')
 * const target = new PassThrough()
 * const writer = writerTo(target)
 * writer.writeUint(body.mallocLength, 2)
 * writer.append(body)
 * await writer.flush()
 * console.log(target.read(7).toString('hex')) // 000568656c6c6f
 * ```
 */
export function createWriter(): Writer {
  return newWriter(threadMemory().arena)
}

/**
 * A writer whose `flush` writes to a Node.js stream. `flush` resolves when the stream takes more, and rejects when it
 * never will.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`
 *
 * @example
 * ```ts
 * import { PassThrough } from 'node:stream'
 * import { writerTo } from 'netpoll'
 *
 * const target = new PassThrough()
 * const writer = writerTo(target)
 * writer.writeString('hello')
 * await writer.flush()
 * console.log(String(target.read())) // hello
 * ```
 */
export function writerTo(target: Writable): Writer {
  checkObject('target', target)
  if (typeof target.write !== 'function') throw invalidType('target', 'a stream to write to', target)
  return newWriter(threadMemory().arena, async ({ first, length }) => {
    let takesMore = true
    for (let piece = first; piece !== undefined; piece = piece.next) takesMore = target.write(bytesOf(piece))
    stepBudget.step(length)
    if (!takesMore) await drained(target)
    await stepBudget.pass()
  })
}

function drained(target: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    const forget = finished(target, { readable: false }, (error) => {
      target.off('drain', takesMore)
      if (error) reject(error)
      else resolve()
    })
    const takesMore = () => {
      forget()
      resolve()
    }
    target.once('drain', takesMore)
  })
}

/** The user's own memory as it is. Ours is used again after a flush, and the stream may hold on to what it gets. */
function bytesOf({ memory, handle, start, length }: Piece): Uint8Array {
  return handle === foreign
    ? memory.subarray(start, start + length)
    : copyBytes(new Uint8Array(memory.buffer, start, length))
}

type Source = AsyncIterator<Uint8Array> | Iterator<Uint8Array>

function iterate(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Source {
  checkObject('source', source)
  // A stream's own iterator destroys all of it at the end, also the direction in which a duplex still writes.
  if (isReadable(source)) return source.iterator({ destroyOnReturn: false })
  if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]()
  if (Symbol.iterator in source) return source[Symbol.iterator]()
  throw invalidType('source', 'an iterable of bytes', source)
}

function isReadable(source: object): source is Readable {
  const { iterator, pipe } = source as Partial<Readable>
  return typeof iterator === 'function' && typeof pipe === 'function'
}

/** Takes pieces until no caller waits for more. */
async function pull(reader: Reader, source: Source): Promise<void> {
  try {
    while (feed.awaited(reader) > 0) {
      const { done, value } = await source.next()
      if (done === true) {
        feed.end(reader, new NetpollError('ERR_EOF', 'The source has ended'))
      } else if (!isUint8Array(value)) {
        throw invalidType('source', 'an iterable of bytes', value)
      } else if (lengthOf(value) > 0) {
        const view = Buffer.from(bufferOf(value), offsetOf(value), lengthOf(value))
        feed.push(reader, view, 0, view.length)
      }
    }
  } catch (error) {
    feed.end(reader, error)
  }
}
