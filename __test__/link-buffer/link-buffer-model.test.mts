// Holds the link buffer to a plain list of bytes, over operations chosen at random.
//
// A failure names its seed; `LINK_BUFFER_SEED=… npx ava .test/link-buffer/link-buffer-model.test.mjs` repeats that round alone.

import test from 'ava'

import { createWriter, NetpollError, type UintSize } from '../../dist/index.mjs'
import { CollectingWriter, chunkOf, emptyReader, type FilledReader } from '../support/link-buffer.mjs'
import { Random } from '../support/random.mjs'

const rounds = process.env['CI'] === undefined ? 100 : 1_000
const operations = 1_000
/** Beyond this a round reads more than it writes. */
const much = 600

/** A reader, and the bytes that it must have. */
interface Modelled {
  readonly reader: FilledReader
  bytes: Buffer
}

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what)
}

/** What `read` gives, where `isThere`; that it fails otherwise. */
function expect<Given>(isThere: boolean, read: () => Given): Given | undefined {
  try {
    const given = read()
    check(isThere, 'gave what is not there')
    return given
  } catch (error) {
    check(error instanceof NetpollError && error.code === 'ERR_NOT_ENOUGH_DATA', String(error))
    check(!isThere, 'did not give what is there')
    return undefined
  }
}

class Round {
  readonly #random: Random
  readonly #main: Modelled = { reader: emptyReader(), bytes: Buffer.alloc(0) }
  readonly #slices: Modelled[] = []
  readonly #collecting = new CollectingWriter()
  #written = Buffer.alloc(0)
  /** Views that were given out, and the bytes that they showed then. */
  readonly #views: { readonly view: Buffer; readonly bytes: Buffer }[] = []
  /** What the next bytes may arrive behind. */
  #chunk = chunkOf(Buffer.alloc(256))
  #filled = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  async operate(): Promise<void> {
    const main = this.#main
    const choice = this.#random.below(8)
    if (choice < 2) this.#arrive()
    else if (choice < 4) await this.#write()
    else if (choice === 4) this.#useSlice()
    else this.#read(main)
    const surplus = Math.max(0, main.bytes.length - much)
    main.reader.skip(surplus)
    main.bytes = main.bytes.subarray(surplus)
    check(main.reader.length === main.bytes.length, 'another length')
    check(this.#collecting.writer.mallocLength === this.#written.length, 'another mallocLength')
    if (this.#views.length > 20) this.#checkViews()
  }

  async finish(): Promise<void> {
    await this.#flush()
    this.#checkViews()
    for (const { reader, bytes } of [this.#main, ...this.#slices]) {
      check(reader.readBinary(reader.length).equals(bytes), 'other bytes at the end')
    }
  }

  #arrive(): void {
    const bytes = this.#random.bytes(40)
    const main = this.#main
    main.bytes = Buffer.concat([main.bytes, bytes])
    if (this.#random.below(2) === 0) {
      main.reader.push(chunkOf(bytes), 0, bytes.length)
      return
    }
    if (this.#filled + bytes.length > this.#chunk.length) {
      this.#chunk = chunkOf(Buffer.alloc(256))
      this.#filled = 0
    }
    this.#chunk.set(bytes, this.#filled)
    main.reader.push(this.#chunk, this.#filled, bytes.length)
    this.#filled += bytes.length
  }

  async #write(): Promise<void> {
    const random = this.#random
    const { writer } = this.#collecting
    const bytes = random.bytes(30)
    const choice = random.below(9)
    if (choice < 2) writer.malloc(bytes.length).set(bytes)
    else if (choice === 2) writer.writeBinary(bytes)
    else if (choice === 3) writer.writeString(bytes.toString('latin1'))
    else if (choice === 4) return this.#writeNumbers()
    else if (choice === 5) return this.#insert(bytes)
    else if (choice === 6) return this.#cut()
    else if (choice === 7) this.#append(bytes)
    else return this.#flush()
    this.#written = Buffer.concat([this.#written, bytes])
  }

  #writeNumbers(): void {
    const { writer } = this.#collecting
    const size = (1 + this.#random.below(6)) as UintSize
    const value = this.#random.below(2 ** 32) % 2 ** (8 * size)
    const numbers = Buffer.alloc(1 + 2 * size)
    numbers.writeUInt8(value & 0xff)
    numbers.writeUIntBE(value, 1, size)
    numbers.writeUIntLE(value, 1 + size, size)
    writer.writeByte(value & 0xff)
    writer.writeUint(value, size)
    writer.writeUint(value, size, 'little')
    this.#written = Buffer.concat([this.#written, numbers])
  }

  #insert(bytes: Buffer): void {
    const remaining = this.#random.below(this.#written.length + 1)
    this.#collecting.writer.writeDirect(bytes, remaining)
    const place = this.#written.length - remaining
    this.#written = Buffer.concat([this.#written.subarray(0, place), bytes, this.#written.subarray(place)])
  }

  #cut(): void {
    const count = this.#random.below(this.#written.length + 1)
    this.#collecting.writer.mallocAck(count)
    this.#written = this.#written.subarray(0, count)
  }

  #append(bytes: Buffer): void {
    const half = bytes.length >> 1
    const other = createWriter()
    other.writeBinary(bytes.subarray(0, half))
    other.writeDirect(bytes.subarray(half))
    this.#collecting.writer.append(other)
    check(other.mallocLength === 0, 'the appended writer kept something')
  }

  async #flush(): Promise<void> {
    const { pieces, length } = await this.#collecting.flush()
    const main = this.#main
    check(length === this.#written.length, 'another length was flushed')
    for (const { bytes } of pieces) main.reader.push(bytes, 0, bytes.length)
    main.bytes = Buffer.concat([main.bytes, this.#written])
    this.#written = Buffer.alloc(0)
  }

  #useSlice(): void {
    const place = this.#random.below(this.#slices.length)
    const slice = this.#slices[place]
    if (slice === undefined) return
    this.#read(slice)
    check(slice.reader.length === slice.bytes.length, 'another length of a slice')
    if (slice.bytes.length === 0 || this.#slices.length > 8) this.#slices.splice(place, 1)
  }

  #checkViews(): void {
    for (const { view, bytes } of this.#views.splice(0)) check(view.equals(bytes), 'a view has changed')
  }

  /** One operation of a reader, and on its model. */
  #read(it: Modelled): void {
    const random = this.#random
    const { reader, bytes } = it
    const most = bytes.length + 2
    const count = random.below(random.below(3) === 0 ? most : Math.min(most, 12))
    const isThere = count <= bytes.length
    const first = bytes.subarray(0, count)
    const consume = (consumed: number) => {
      it.bytes = bytes.subarray(consumed)
    }
    const reads: readonly (() => void)[] = [
      () => this.#view(isThere, first, () => reader.next(count), consume),
      () => this.#view(isThere, first, () => reader.peek(count)),
      () => {
        const at = bytes.indexOf(Buffer.of(3, 2))
        this.#view(at >= 0, bytes.subarray(0, at + 2), () => reader.until(Buffer.of(3, 2)), consume)
      },
      () => {
        expect(isThere, () => reader.skip(count))
        if (isThere) consume(count)
      },
      () => {
        const wanted = Buffer.from(Array.from({ length: 1 + random.below(5) }, () => random.below(2)))
        // A list of bytes finds nothing beyond its end, either.
        const expected = count > bytes.length ? -1 : bytes.indexOf(wanted, count)
        check(reader.indexOf(wanted, count) === expected, 'found elsewhere')
      },
      () => this.#copy(isThere, first, () => reader.readBinary(count), consume),
      () =>
        this.#copy(isThere, first, () => Buffer.from(reader.readString(count, 'latin1'), 'latin1'), consume),
      () => this.#numbers(it, count),
      () => {
        const slice = expect(isThere, () => reader.slice(count))
        if (slice === undefined) return
        consume(count)
        this.#slices.push({ reader: slice as FilledReader, bytes: first })
      },
      () => reader.release(),
    ]
    reads[random.below(reads.length)]?.()
  }

  #view(isThere: boolean, bytes: Buffer, read: () => Buffer, consume?: (count: number) => void): void {
    const view = expect(isThere, read)
    if (view === undefined) return
    check(view.equals(bytes), 'a view of other bytes')
    this.#views.push({ view, bytes })
    consume?.(bytes.length)
  }

  #copy(isThere: boolean, bytes: Buffer, read: () => Buffer, consume: (count: number) => void): void {
    const copy = expect(isThere, read)
    if (copy === undefined) return
    check(copy.equals(bytes), 'a copy of other bytes')
    copy.fill(0xff)
    consume(bytes.length)
  }

  #numbers(it: Modelled, offset: number): void {
    const { reader, bytes } = it
    const size = (1 + this.#random.below(6)) as UintSize
    const isThere = offset + size <= bytes.length
    const big = expect(isThere, () => reader.peekUint(size, offset))
    const little = expect(isThere, () => reader.peekUint(size, offset, 'little'))
    if (isThere) {
      check(big === bytes.readUIntBE(offset, size), 'another number')
      check(little === bytes.readUIntLE(offset, size), 'another little number')
    }
    if (offset > 0) return
    check(expect(isThere, () => reader.readUint(size)) === big, 'another number read')
    it.bytes = bytes.subarray(isThere ? size : 0)
    const byte = expect(it.bytes.length > 0, () => reader.readByte())
    check(byte === it.bytes[0], 'another byte')
    it.bytes = it.bytes.subarray(1)
  }
}

test(`reader and writer do what a list of bytes does, ${rounds * operations} times`, async (t) => {
  const only = process.env['LINK_BUFFER_SEED']
  const seeds = only === undefined ? Array.from({ length: rounds }, (_, index) => index + 1) : [Number(only)]
  for (const seed of seeds) {
    const round = new Round(seed)
    try {
      for (let operation = 0; operation < operations; operation += 1) await round.operate()
      await round.finish()
    } catch (cause) {
      throw new Error(`failed with LINK_BUFFER_SEED=${seed}`, { cause })
    }
  }
  t.is(seeds.length, only === undefined ? rounds : 1)
})
