// The table of cases that the link buffers of both languages are held to. Its own `about` explains the words.

import { readFileSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'

import type { UintSize, Writer } from '../../dist/index.mjs'
import { CollectingWriter, chunkOf, emptyReader, type FilledReader } from '../support/link-buffer.mjs'

type Bytes =
  | string
  | number
  | { readonly repeat: readonly [byte: number, count: number] }
  | { readonly bytes: readonly number[] }
  | { readonly all: readonly Bytes[] }

interface Step {
  readonly do: string
  readonly on?: string
  readonly bytes?: Bytes
  readonly chunk?: string
  readonly count?: number
  readonly delimiter?: Bytes
  readonly from?: number
  readonly size?: UintSize
  readonly offset?: number
  readonly endian?: 'big' | 'little'
  readonly text?: string
  readonly value?: number
  readonly fill?: Bytes
  readonly remaining?: number
  readonly other?: string
  readonly to?: string
  readonly gives?: Bytes
  readonly error?: string
  readonly shares?: boolean
  readonly as?: string
  readonly sameMemoryAs?: string
  readonly view?: string
  readonly direct?: readonly string[]
}

interface Case {
  readonly name: string
  readonly only?: 'rust' | 'typescript'
  readonly steps: readonly Step[]
}

const table = readFileSync(new URL('../../testdata/link-buffer.json', import.meta.url), 'utf8')
const { cases } = JSON.parse(table) as { readonly cases: readonly Case[] }
const namedChunkSize = 64 * 1024

function bytesOf(bytes: Bytes | undefined): Buffer {
  if (bytes === undefined) throw new Error('A step lacks its bytes')
  if (typeof bytes === 'string') return Buffer.from(bytes)
  if (typeof bytes === 'number') return Buffer.of(bytes)
  if ('repeat' in bytes) return Buffer.alloc(bytes.repeat[1], bytes.repeat[0])
  if ('all' in bytes) return Buffer.concat(bytes.all.map(bytesOf))
  return Buffer.from(bytes.bytes)
}

/** What the steps of one case work on. */
class Bench {
  readonly #t: ExecutionContext
  readonly #readers = new Map<string, FilledReader>([['reader', emptyReader()]])
  readonly #writers = new Map<string, CollectingWriter>()
  readonly #views = new Map<string, Uint8Array>()
  readonly #chunks = new Map<string, { readonly chunk: Buffer; filled: number }>()
  readonly #pushed = new Set<ArrayBufferLike>()

  constructor(t: ExecutionContext) {
    this.#t = t
  }

  async take(step: Step, place: string): Promise<void> {
    if (step.do === 'flush') return this.#flush(step, place)
    let given: unknown
    try {
      given = this.#call(step)
    } catch (error) {
      this.#t.is((error as { code?: unknown }).code, step.error, `${place}: ${error}`)
      return
    }
    this.#t.is(step.error, undefined, `${place}: did not fail`)
    if (given instanceof Uint8Array) this.#bytes(step, given, place)
    else if (step.gives !== undefined) this.#t.is(given, step.gives, place)
  }

  #call(step: Step): unknown {
    const write = this.#writes(step)
    if (write !== undefined) return write()
    const read = this.#reads(step)
    if (read !== undefined) return read()
    throw new Error(`No operation is called ${step.do}`)
  }

  #reads(step: Step): (() => unknown) | undefined {
    const { count = 0, size = 1, endian, delimiter = '', from, offset } = step
    const reader = this.#reader(step.on)
    const wanted = typeof delimiter === 'object' ? bytesOf(delimiter) : delimiter
    const operations: Record<string, () => unknown> = {
      push: () => this.#push(step),
      kept: () => this.#views.get(step.view ?? ''),
      length: () => reader.length,
      next: () => reader.next(count),
      peek: () => reader.peek(count),
      skip: () => reader.skip(count),
      until: () => reader.until(wanted),
      indexOf: () => reader.indexOf(wanted, from),
      readString: () => reader.readString(count),
      readBinary: () => reader.readBinary(count),
      readByte: () => reader.readByte(),
      readUint: () => reader.readUint(size, endian),
      peekUint: () => reader.peekUint(size, offset, endian),
      slice: () => void this.#readers.set(step.as ?? '', reader.slice(count) as FilledReader),
      release: () => reader.release(),
    }
    return operations[step.do]
  }

  #writes(step: Step): (() => unknown) | undefined {
    const { count = 0, size = 1, endian, text = '', value = 0, remaining } = step
    const operations: Record<string, (writer: Writer) => unknown> = {
      malloc: (writer) => void writer.malloc(count).set(bytesOf(step.fill)),
      mallocAck: (writer) => writer.mallocAck(count),
      mallocLength: (writer) => writer.mallocLength,
      writeString: (writer) => void writer.writeString(text),
      writeBinary: (writer) => void writer.writeBinary(bytesOf(step.bytes)),
      writeByte: (writer) => writer.writeByte(value),
      writeUint: (writer) => writer.writeUint(value, size, endian),
      writeDirect: (writer) => {
        const bytes = chunkOf(bytesOf(step.bytes))
        if (step.as !== undefined) this.#views.set(step.as, bytes)
        writer.writeDirect(bytes, remaining)
      },
      append: (writer) => writer.append(this.#writer(step.other).writer),
    }
    const operation = operations[step.do]
    return operation === undefined ? undefined : () => operation(this.#writer(step.on).writer)
  }

  #reader(name = 'reader'): FilledReader {
    const reader = this.#readers.get(name)
    // A step of a writer names that.
    return reader ?? emptyReader()
  }

  #writer(name = 'writer'): CollectingWriter {
    const writer = this.#writers.get(name) ?? new CollectingWriter()
    this.#writers.set(name, writer)
    return writer
  }

  #push(step: Step): void {
    const bytes = bytesOf(step.bytes)
    if (step.chunk === undefined) {
      this.#pushChunk('reader', chunkOf(bytes), 0, bytes.length)
      return
    }
    const known = this.#chunks.get(step.chunk)
    const named = known ?? { chunk: chunkOf(Buffer.alloc(namedChunkSize)), filled: 0 }
    this.#chunks.set(step.chunk, named)
    named.chunk.set(bytes, named.filled)
    this.#pushChunk('reader', named.chunk, named.filled, bytes.length)
    named.filled += bytes.length
  }

  #pushChunk(reader: string, chunk: Buffer, start: number, length: number): void {
    this.#pushed.add(chunk.buffer)
    this.#reader(reader).push(chunk, start, length)
  }

  #bytes(step: Step, view: Uint8Array, place: string): void {
    const t = this.#t
    t.deepEqual(Buffer.from(view), bytesOf(step.gives), place)
    if (step.shares !== undefined) t.is(this.#pushed.has(view.buffer), step.shares, place)
    if (step.sameMemoryAs !== undefined) {
      const other = this.#views.get(step.sameMemoryAs)
      t.is(view.buffer, other?.buffer as ArrayBuffer, place)
      t.is(view.byteOffset, other?.byteOffset as number, place)
    }
    if (step.as !== undefined) this.#views.set(step.as, view)
  }

  async #flush(step: Step, place: string): Promise<void> {
    const t = this.#t
    const { pieces, length } = await this.#writer(step.on).flush()
    const bytes = Buffer.concat(pieces.map((piece) => piece.bytes))
    t.deepEqual(bytes, bytesOf(step.gives), place)
    t.is(length, bytes.length, place)
    t.true(
      pieces.every((piece) => piece.bytes.length > 0),
      place,
    )
    for (const name of step.direct ?? []) {
      const given = this.#views.get(name)
      t.true(
        pieces.some(({ memory, start }) => memory === given?.buffer && start === given.byteOffset),
        `${place}: ${name} was copied`,
      )
    }
    if (step.to === undefined) return
    for (const piece of pieces) this.#pushChunk(step.to, chunkOf(piece.bytes), 0, piece.bytes.length)
  }
}

for (const { name, only, steps } of cases) {
  if (only === 'rust') continue
  test(name, async (t) => {
    const bench = new Bench(t)
    for (const [index, step] of steps.entries()) {
      await bench.take(step, `step ${index + 1}: ${JSON.stringify(step)}`)
    }
  })
}

function readerOf(...chunks: readonly string[]): FilledReader {
  const reader = emptyReader()
  for (const chunk of chunks) reader.push(chunkOf(Buffer.from(chunk)), 0, chunk.length)
  return reader
}

const noCounts: readonly unknown[] = [-1, 1.5, Number.NaN, '1', null]

test('a count that is none is a TypeError, and consumes nothing', (t) => {
  const reader = readerOf('abc', 'def')
  reader.skip(1)
  const methods = ['next', 'peek', 'skip', 'readString', 'readBinary', 'slice'] as const
  for (const method of methods) {
    for (const count of noCounts) {
      const error = t.throws(() => reader[method](count as number), { instanceOf: TypeError }, method)
      t.regex(String((error as { code?: unknown } | undefined)?.code), /^ERR_INVALID_ARG_/)
    }
  }
  t.is(reader.length, 5)
  t.is(reader.readString(5), 'bcdef')
})

test('a number is looked at from the next byte on and in no other direction', (t) => {
  const reader = readerOf('abcdef')
  reader.skip(3)
  for (const offset of noCounts) {
    t.throws(() => reader.peekUint(2, offset as number), { instanceOf: TypeError }, String(offset))
    t.throws(() => reader.indexOf('e', offset as number), { instanceOf: TypeError }, String(offset))
  }
  for (const size of [0, 7, ...noCounts]) {
    t.throws(() => reader.readUint(size as UintSize), { instanceOf: TypeError }, String(size))
  }
  t.is(reader.readString(3), 'def')
})

test('a delimiter has at least one byte', (t) => {
  const reader = readerOf('abc')
  for (const delimiter of ['', new Uint8Array(0), -1, 256, undefined]) {
    t.throws(() => reader.until(delimiter as string), { instanceOf: TypeError })
    t.throws(() => reader.indexOf(delimiter as string), { instanceOf: TypeError })
  }
  t.is(reader.length, 3)
})

test('wrong arguments of a writer change nothing', async (t) => {
  const collecting = new CollectingWriter()
  const { writer } = collecting
  writer.writeString('abc')
  for (const count of noCounts) {
    t.throws(() => writer.malloc(count as number), { instanceOf: TypeError })
    t.throws(() => writer.mallocAck(count as number), { instanceOf: TypeError })
    t.throws(() => writer.writeByte(count as number), { instanceOf: TypeError })
    t.throws(() => writer.writeDirect(Buffer.from('x'), count as number), { instanceOf: TypeError })
  }
  t.throws(() => writer.writeByte(256), { instanceOf: TypeError })
  t.throws(() => writer.writeUint(65_536, 2), { instanceOf: TypeError })
  t.throws(() => writer.append(writer), { instanceOf: TypeError })
  t.throws(() => writer.append(undefined as unknown as Writer), { instanceOf: TypeError })
  t.is(writer.mallocLength, 3)
  t.is((await collecting.flush()).pieces[0]?.bytes.toString(), 'abc')
})

test('looking ahead a byte more each time moves what was joined a few times only', (t) => {
  const reader = emptyReader()
  const memories = new Set<ArrayBufferLike>()
  for (let length = 1; length <= 2_000; length += 1) {
    reader.push(chunkOf(Buffer.of(length & 0xff)), 0, 1)
    memories.add(reader.peek(length).buffer)
  }
  t.true(memories.size < 20, String(memories.size))
  t.true(reader.next(2_000).every((byte, index) => byte === ((index + 1) & 0xff)))
})

test('a view does not change when what it was cut from is joined with more', (t) => {
  const reader = readerOf('ab', 'cd', 'ef')
  const views = [reader.peek(3), reader.peek(5), reader.slice(4).peek(4)]
  reader.push(chunkOf(Buffer.from('gh')), 0, 2)
  t.is(reader.next(4).toString(), 'efgh')
  t.deepEqual(views.map(String), ['abc', 'abcde', 'abcd'])
})

test('numbers across chunks are looked at without joining', (t) => {
  const reader = readerOf('abc', 'def')
  const before = reader.peek(3)
  t.is(reader.peekUint(4, 1), 0x62_63_64_65)
  t.is(reader.peek(3).buffer, before.buffer)
})

test('writeBinary copies, writeDirect refers, and neither is written behind', async (t) => {
  const collecting = new CollectingWriter()
  const { writer } = collecting
  const memory = Buffer.alloc(16)
  writer.writeBinary(memory.subarray(0, 9))
  writer.writeDirect(memory.subarray(0, 9))
  writer.writeByte(1)
  writer.malloc(1)[0] = 2
  t.deepEqual([...memory], Array(16).fill(0))
  memory.fill(7)
  const { pieces } = await collecting.flush()
  const expected = [...Array(9).fill(0), ...Array(9).fill(7), 1, 2]
  t.deepEqual([...Buffer.concat(pieces.map(({ bytes }) => bytes))], expected)
})

test('what malloc gave may be filled after something was inserted into it', async (t) => {
  const collecting = new CollectingWriter()
  const { writer } = collecting
  const memory = writer.malloc(8)
  memory.write('ab', 0)
  writer.writeDirect(Buffer.from('cdef'), 6)
  memory.write('g', 2)
  writer.writeDirect(Buffer.from('hij'), 5)
  memory.write('klmno', 3)
  const { pieces } = await collecting.flush()
  t.is(pieces.map(({ bytes }) => bytes).join(''), 'abcdefghijklmno')
})

test('an appended writer is empty and of use again, and keeps nothing of what it gave', async (t) => {
  const first = new CollectingWriter()
  const other = new CollectingWriter()
  other.writer.writeString('one')
  first.writer.append(other.writer)
  t.is(other.writer.mallocLength, 0)
  other.writer.writeString('two')
  other.writer.mallocAck(1)
  t.is((await first.flush()).pieces[0]?.bytes.toString(), 'one')
  t.is((await other.flush()).pieces[0]?.bytes.toString(), 't')
})
