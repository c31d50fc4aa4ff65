import { isDeepStrictEqual } from 'node:util'
import test, { type ExecutionContext } from 'ava'

import { binary } from '../../dist/thrift/binary.js'
import { compact } from '../../dist/thrift/compact.js'
import type { Protocol } from '../../dist/thrift/protocol.js'
import { Type } from '../../dist/thrift/wire.js'
import { Random } from '../support/random.mjs'
import { fullValue, plain } from '../support/thrift.mjs'
import {
  type Everything,
  type Struct,
  thrift,
  TProtocolException,
  types,
} from '../support/thrift-service.mjs'

const protocols = [
  { protocol: binary as Protocol, Library: thrift.TBinaryProtocol },
  { protocol: compact as Protocol, Library: thrift.TCompactProtocol },
]

function write(struct: Struct, protocol: Protocol): Buffer {
  const output = new protocol.Output()
  output.writeMessageBegin('', 1, 0)
  struct.write(output)
  return output.take()
}

function read<S extends Struct>(struct: S, bytes: Buffer, protocol: Protocol): S {
  const input = protocol.openBody(bytes)
  struct.read(input)
  return struct
}

function writeByLibrary(struct: Struct, Library: typeof thrift.TBinaryProtocol): Buffer {
  let bytes: Buffer = Buffer.alloc(0)
  const transport = new thrift.TFramedTransport(undefined, (frame) => {
    bytes = frame.subarray(4)
  })
  struct.write(new Library(transport))
  transport.flush()
  return bytes
}

function readByLibrary<S extends Struct>(
  struct: S,
  bytes: Buffer,
  Library: typeof thrift.TBinaryProtocol,
): S {
  struct.read(new Library(new thrift.TFramedTransport(bytes)))
  return struct
}

const texts = ['', 'a', 'häuser', '水', '😀', 'x'.repeat(42), 'y'.repeat(43), 'z'.repeat(127), 'ä'.repeat(64)]

/** A value with some of its fields, few of them ordinary. */
function randomValue(random: Random): Everything & Struct {
  const some = <T,>(value: T): T | null => (random.below(4) === 0 ? null : value)
  const text = () => texts[random.below(texts.length)] as string
  const list = <T,>(make: () => T) =>
    Array.from({ length: random.below(random.below(2) === 0 ? 4 : 20) }, make)
  const integer = (bits: number) => {
    const edge = 2 ** (bits - 1)
    const edges = [0, 1, -1, 63, 64, -64, -65, edge - 1, -edge]
    return random.below(2) === 0
      ? (edges[random.below(edges.length)] as number)
      : random.below(edge) - edge / 2
  }
  const large = () => integer(32) * 2 ** random.below(22)
  const record = <T,>(make: () => T) =>
    Object.fromEntries(list(make).map((value, index) => [`${text()}${index}`, value]))
  const leaf = () => new types.Leaf({ name: some(text()), weight: some(integer(32)) })
  return new types.Everything({
    yes: some(true),
    no: some(false),
    tiny: some(integer(8)),
    small: some(integer(16)),
    middle: some(integer(32)),
    large: some(large()),
    real: some(
      [0, -0, 1.5, -1e300, Number.MIN_VALUE, Infinity, Number.NaN, random.below(1e9) / 7][
        random.below(8)
      ] as number,
    ),
    text: some(text()),
    bytes: some(random.bytes(300)),
    numbers: some(list(() => integer(32))),
    names: some([...new Set(list(text))]),
    leaves: some(record(leaf)),
    leaf: some(leaf()),
    colour: some(1 + random.below(2)),
    choice: some(new types.Choice(random.below(2) === 0 ? { number: integer(32) } : { text: text() })),
    flags: some(list(() => random.below(2) === 0)),
    grid: some(list(() => list(large))),
    far: some(text()),
    marks: some(record(() => random.below(2) === 0)),
  })
}

for (const { protocol, Library } of protocols) {
  test(`thrift ${protocol.name}: what is written the library reads, and what it writes is read`, (t) => {
    const random = new Random(1)
    for (let round = 0; round < 400; round += 1) {
      const value = randomValue(random)
      const bytes = write(value, protocol)
      const expected = writeByLibrary(value, Library)
      // Byte for byte, but for doubles whose sign or kind the library loses.
      if (value.real === null || (Number.isFinite(value.real) && !Object.is(value.real, -0))) {
        t.true(bytes.equals(expected))
      }
      t.true(isDeepStrictEqual(plain(read(new types.Everything(), bytes, protocol)), plain(value)))
      const theirs = readByLibrary(new types.Everything(), bytes, Library)
      // The library reads every boolean of a list or map in the compact protocol as false.
      if (protocol === compact) Object.assign(theirs, { flags: value.flags, marks: value.marks })
      t.true(isDeepStrictEqual(plain(theirs), plain(value)))
      if (value.real === null || !Object.is(value.real, -0)) {
        t.true(isDeepStrictEqual(plain(read(new types.Everything(), expected, protocol)), plain(value)))
      }
    }
  })

  test(`thrift ${protocol.name}: fields of any id, of those below 0, too, are read as they were written`, (t) => {
    const ids = [1, -1, 2, 0, -2, -1, 15, 16, 32, 32_767, -32_768, -1]
    const output = new protocol.Output()
    output.writeMessageBegin('', 1, 0)
    output.writeStructBegin('')
    for (const id of ids) {
      output.writeFieldBegin('', Type.Bool, id)
      output.writeBool(id % 2 === 0)
      output.writeFieldBegin('', Type.I16, id)
      output.writeI16(id)
      // Elements have no head, which a boolean before them must not change.
      output.writeFieldBegin('', Type.List, id)
      output.writeListBegin(Type.Bool, 2)
      output.writeBool(true)
      output.writeBool(false)
    }
    output.writeFieldStop()
    output.writeStructEnd()
    const input = protocol.openBody(output.take())
    input.readStructBegin()
    for (const id of ids) {
      t.deepEqual({ ...input.readFieldBegin() }, { fname: '', ftype: Type.Bool, fid: id })
      t.is(input.readBool(), id % 2 === 0)
      t.deepEqual({ ...input.readFieldBegin() }, { fname: '', ftype: Type.I16, fid: id })
      t.is(input.readI16(), id)
      t.deepEqual({ ...input.readFieldBegin() }, { fname: '', ftype: Type.List, fid: id })
      t.deepEqual(input.readListBegin(), { etype: Type.Bool, size: 2 })
      t.deepEqual([input.readBool(), input.readBool()], [true, false])
    }
    t.is(input.readFieldBegin().ftype, Type.Stop)
    t.is(input.at, input.end)
  })

  test(`thrift ${protocol.name}: every i64 keeps all of its bits`, (t) => {
    const max = 2n ** 63n - 1n
    const values = [
      0n,
      1n,
      -1n,
      63n,
      64n,
      -64n,
      -65n,
      2n ** 31n,
      2n ** 32n - 1n,
      -(2n ** 32n),
      2n ** 53n,
      max,
      -max - 1n,
    ]
    for (let shift = 0n; shift < 63n; shift += 1n)
      values.push(1n << shift, -(1n << shift), (1n << shift) - 1n)
    for (const value of values) {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64BE(value)
      const spellings = [value, new thrift.Int64(bytes)]
      if (value >= -(2n ** 53n) && value <= 2n ** 53n) spellings.push(Number(value) as never)
      for (const large of spellings) {
        const { large: got } = read(
          new types.Everything(),
          write(new types.Everything({ large }), protocol),
          protocol,
        )
        t.is((got as { buffer: Buffer }).buffer.readBigInt64BE(0), value)
      }
    }
    const hexadecimal = new types.Everything({ large: 'ff' as never })
    t.is(Number(read(new types.Everything(), write(hexadecimal, protocol), protocol).large), 255)
    const fraction = new types.Everything({ large: -0.5 })
    t.is(Number(read(new types.Everything(), write(fraction, protocol), protocol).large), 0)
  })

  test(`thrift ${protocol.name}: texts and bytes of every length, also where memory ends`, (t) => {
    const lengths = [
      0, 1, 41, 42, 43, 126, 127, 128, 1_365, 1_366, 4_095, 4_096, 4_097, 16_383, 16_384, 65_530, 70_000,
    ]
    const kept: { bytes: Buffer; value: Everything }[] = []
    for (let round = 0; round < 3; round += 1) {
      for (const length of lengths) {
        for (const letter of ['a', 'ä', '水', '😀']) {
          const text = letter.repeat(length)
          const value = new types.Everything({ text, bytes: Buffer.alloc(length, letter), far: text })
          kept.push({ bytes: write(value, protocol), value })
        }
      }
    }
    // What was written stays as it is, whatever is written afterwards.
    for (const { bytes, value } of kept) {
      t.true(isDeepStrictEqual(read(new types.Everything(), bytes, protocol).text, value.text))
      t.true((read(new types.Everything(), bytes, protocol).bytes as Buffer).equals(value.bytes as Buffer))
    }
  })

  test(`thrift ${protocol.name}: bytes are taken as bytes or as text, and nothing else`, (t) => {
    const output = new protocol.Output()
    output.writeMessageBegin('', 1, 0)
    output.writeString(Buffer.from('bytes'))
    output.writeBinary('\u00ff\u0001')
    output.writeBinary(new Uint8Array([1, 2, 3]))
    const input = protocol.openBody(output.take())
    t.is(input.readString(), 'bytes')
    t.deepEqual(input.readBinary(), Buffer.from([0xff, 1]))
    t.deepEqual(input.readBinary(), Buffer.from([1, 2, 3]))
    t.throws(() => new protocol.Output().writeString(5 as never), { code: 'ERR_INVALID_ARG_TYPE' })
    t.throws(() => new protocol.Output().writeBinary(null as never), { code: 'ERR_INVALID_ARG_TYPE' })
  })

  test(`thrift ${protocol.name}: a uuid is sixteen bytes`, (t) => {
    const output = new protocol.Output()
    output.writeMessageBegin('', 1, 0)
    const uuid = '00112233-4455-6677-8899-aabbccddeeff'
    output.writeUuid(uuid)
    refuses(t, () => output.writeUuid('0011'))
    const bytes = output.take()
    t.is(bytes.toString('hex'), uuid.replaceAll('-', ''))
    t.is(protocol.openBody(bytes).readUuid(), uuid)
  })

  test(`thrift ${protocol.name}: a reader that knows no field skips all of them`, (t) => {
    const random = new Random(3)
    for (let round = 0; round < 50; round += 1) {
      const bytes = write(randomValue(random), protocol)
      const input = protocol.openBody(bytes)
      new types.Choice().read(renumbered(input))
      t.is(input.at, bytes.length)
    }
  })

  test(`thrift ${protocol.name}: a message that is cut off anywhere is refused`, (t) => {
    const bytes = write(fullValue(), protocol)
    for (let length = 0; length < bytes.length; length += 1) {
      const cut = Buffer.from(bytes.subarray(0, length))
      const error = t.throws(() => read(new types.Everything(), cut, protocol), { any: true })
      t.true(error instanceof TProtocolException, `${length}: ${error}`)
    }
  })

  test(`thrift ${protocol.name}: bytes that are changed anywhere are read or refused`, (t) => {
    const bytes = write(fullValue(), protocol)
    let refused = 0
    for (let at = 0; at < bytes.length; at += 1) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const changed = Buffer.from(bytes)
        changed[at] = value
        try {
          read(new types.Everything(), changed, protocol)
        } catch (error) {
          t.true(error instanceof TProtocolException, `${at}: ${error}`)
          refused += 1
        }
      }
    }
    t.true(refused > 0)
  })

  test(`thrift ${protocol.name}: sizes that cannot be are refused before anything is made of them`, (t) => {
    const wrong = (...write: ((output: InstanceType<Protocol['Output']>) => void)[]) => {
      const output = new protocol.Output()
      output.writeMessageBegin('', 1, 0)
      for (const part of write) part(output)
      return protocol.openBody(output.take())
    }
    const most = 2 ** 31 - 1
    refuses(t, () => wrong((output) => output.writeListBegin(8, most)).readListBegin())
    refuses(t, () => wrong((output) => output.writeSetBegin(8, 100)).readSetBegin())
    refuses(t, () => wrong((output) => output.writeMapBegin(8, 8, most)).readMapBegin())
    refuses(t, () => wrong((output) => output.writeListBegin(8, -1)).readListBegin())
    refuses(t, () => wrong((output) => output.writeMapBegin(8, 8, -1)).readMapBegin())
    const long = (output: InstanceType<Protocol['Output']>) =>
      protocol === binary ? output.writeI32(most) : output.writeMapBegin(3, 3, most)
    refuses(t, () => wrong(long).readString())
    refuses(t, () => wrong(long).readBinary())
    const negative = (output: InstanceType<Protocol['Output']>) =>
      protocol === binary ? output.writeI32(-5) : output.writeMapBegin(3, 3, -5)
    refuses(t, () => wrong(negative).readString())
    refuses(t, () => wrong(negative).readBinary())
  })

  test(`thrift ${protocol.name}: structs and lists in each other are skipped up to a depth`, (t) => {
    const nested = (depth: number) => {
      const output = new protocol.Output()
      output.writeMessageBegin('', 1, 0)
      for (let level = 0; level < depth; level += 1) {
        output.writeStructBegin('')
        output.writeFieldBegin('', 12, 1)
      }
      output.writeStructBegin('')
      for (let level = 0; level <= depth; level += 1) {
        output.writeFieldStop()
        output.writeStructEnd()
      }
      return protocol.openBody(output.take())
    }
    t.notThrows(() => nested(60).skip(12))
    refuses(t, () => nested(70).skip(12), /deep/)
    const input = nested(0)
    for (let level = 0; level < 64; level += 1) input.incrementRecursionDepth()
    refuses(t, () => input.incrementRecursionDepth())
    input.decrementRecursionDepth()
    refuses(t, () => protocol.openBody(Buffer.alloc(9)).skip(99))
  })

  test(`thrift ${protocol.name}: heads of messages`, (t) => {
    for (const [name, id] of [
      ['echo', 1],
      ['', 0],
      ['häuser', 2 ** 31 - 1],
      ['n'.repeat(300), 12_345],
    ] as const) {
      for (const type of [1, 2, 3, 4]) {
        const length = protocol.headLength(name, id)
        const bytes = Buffer.alloc(length + 3)
        protocol.writeHead(bytes, 2, name, type, id)
        t.is(bytes[length + 2], 0)
        const input = protocol.open(bytes, 2)
        t.deepEqual(input.readMessageBegin(), { fname: name, mtype: type, rseqid: id })
        t.is(input.at, length + 2)
        t.is(protocol.idOf(bytes.subarray(2)), id)
        t.true(protocol.recognizes(bytes, 2))
        for (let cut = 0; cut < length; cut += 1) {
          refuses(t, () => protocol.open(Buffer.from(bytes.subarray(2, 2 + cut)), 0))
        }
      }
    }
    t.is(protocol.idOf(Buffer.alloc(0)), undefined)
    t.is(protocol.idOf(Buffer.from([0x82, 0x21, 0x80])), undefined)
    t.is(binary.idOf(Buffer.from([0x80, 1, 0, 1, 0x7f, 0xff, 0xff, 0xff])), undefined)
  })

  test(`thrift ${protocol.name}: an output that is begun again forgets what was written`, (t) => {
    const output = new protocol.Output()
    output.writeMessageBegin('first', 2, 1)
    new types.Leaf({ name: 'lost', weight: 1 }).write(output)
    output.writeStructBegin('half')
    output.writeFieldBegin('yes', 2, 9)
    output.writeMessageBegin('second', 3, 2)
    const leaf = new types.Leaf({ name: 'kept', weight: 2 })
    leaf.write(output)
    t.deepEqual(plain(read(new types.Leaf(), output.take(), protocol)), plain(leaf))
    t.like(output, { name: 'second', type: 3, seqid: 2 })
  })

  test(`thrift ${protocol.name}: outputs that are written at once have memory of their own`, (t) => {
    const outputs = [1, 2, 3].map((weight) => ({
      output: new protocol.Output(),
      leaf: new types.Leaf({ name: `leaf ${weight}`, weight }),
    }))
    for (const { output } of outputs) output.writeMessageBegin('', 1, 0)
    for (const { output, leaf } of outputs) leaf.write(output)
    for (const { output, leaf } of outputs.reverse()) {
      t.deepEqual(plain(read(new types.Leaf(), output.take(), protocol)), plain(leaf))
    }
  })
}

test('thrift binary: messages of the format without a version are understood', (t) => {
  const bytes = Buffer.concat([
    Buffer.from([0, 0, 0, 4]),
    Buffer.from('echo'),
    Buffer.from([1, 0, 0, 0, 7, 0]),
  ])
  t.true(binary.recognizes(bytes, 0))
  const input = binary.open(bytes, 0)
  t.deepEqual(input.readMessageBegin(), { fname: 'echo', mtype: 1, rseqid: 7 })
  t.is(binary.idOf(bytes), 7)
  refuses(t, () => binary.open(bytes.subarray(0, 10), 0))
  refuses(t, () => binary.open(Buffer.alloc(12, 0xff), 0), /version/)
  const negative = Buffer.from('80010001ffffffff00000000', 'hex')
  refuses(t, () => binary.open(negative, 0))
})

test('thrift compact: other versions, endless numbers and unknown types are refused', (t) => {
  refuses(t, () => compact.open(Buffer.from([0x82, 0x22, 1, 0]), 0), /protocol/)
  refuses(t, () => compact.open(Buffer.from([0x81, 0x21, 1, 0]), 0))
  const endless = Buffer.alloc(20, 0x80)
  refuses(t, () => compact.openBody(endless).readI32(), /end/)
  refuses(t, () => compact.openBody(endless).readI64(), /end/)
  refuses(t, () => compact.openBody(Buffer.from([0x1f])).readFieldBegin())
})

/** That `work` throws an exception of Thrift, which the test runner does not take for an error. */
function refuses(t: ExecutionContext, work: () => unknown, message = /./): void {
  const error = t.throws(work, { any: true }) as unknown
  t.true(error instanceof TProtocolException, String(error))
  t.regex((error as Error).message, message)
}

/** The input with other numbers for its fields. */
function renumbered<Input extends { readFieldBegin(): { fid: number } }>(input: Input): Input {
  const readFieldBegin = input.readFieldBegin.bind(input)
  input.readFieldBegin = () => {
    const field = readFieldBegin()
    field.fid += 1_000
    return field
  }
  return input
}
