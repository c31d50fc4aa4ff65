// Decoders of Thrift, which get any bytes as frames, and what they have encoded themselves. Only an exception of Thrift refuses a
// frame. A frame says the same wherever it lies in memory. What was read can be written, and read again.
import assert from 'node:assert'
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import { inflateSync } from 'node:zlib'

import { Reached } from './coverage.mjs'
import { Choices, serve } from './inputs.mjs'

const require = createRequire(import.meta.url)
const { Thrift } = require('thrift')
const { AnyCodec } = require('../dist/thrift/any-codec.js')
const { binary } = require('../dist/thrift/binary.js')
const { compact } = require('../dist/thrift/compact.js')
const { FramedCodec } = require('../dist/thrift/framed.js')
const { checkLimits } = require('../dist/thrift/limits.js')
const { THeaderCodec } = require('../dist/thrift/theader.js')
const { TTHeaderCodec } = require('../dist/thrift/ttheader.js')
const { Type, depthLimit } = require('../dist/thrift/wire.js')
const { Everything } = require('../__test__/interop/gen-nodejs/interop_types.js')

const protocols = [binary, compact]
const formats = [FramedCodec, THeaderCodec, TTHeaderCodec]

/** Lists lie too deep in each other for this program: generated code reads none so deep, and skips what it does not know. */
class TooDeep extends Error {}

const isRefusal = (error) =>
  error instanceof TooDeep ||
  error instanceof Thrift.TProtocolException ||
  error instanceof Thrift.TApplicationException ||
  error?.code === 'ERR_INFLATED_TOO_LARGE'

/** What it gives, or the refusal that it throws. */
function outcomeOf(work) {
  try {
    return { value: work() }
  } catch (error) {
    if (!isRefusal(error)) throw error
    return { refusal: error }
  }
}

/** As `MessageReader`, over bytes of our own. */
class Reader {
  constructor(bytes, start, end) {
    Object.assign(this, { bytes, start, end })
  }

  get length() {
    return this.end - this.start
  }

  skip(length) {
    assert(length <= this.length)
    this.start += length
  }

  next(length) {
    this.skip(length)
    return Buffer.from(this.bytes.subarray(this.start - length, this.start))
  }
}

/** As a writer that messages are encoded to. */
class Target {
  #parts = []

  malloc(length) {
    const part = Buffer.alloc(length)
    this.#parts.push(part)
    return part
  }

  writeBinary(bytes) {
    this.#parts.push(bytes)
  }

  take() {
    return Buffer.concat(this.#parts)
  }
}

/** Methods of input and output for what has one value. */
const single = {
  [Type.Bool]: ['readBool', 'writeBool'],
  [Type.Byte]: ['readByte', 'writeByte'],
  [Type.I16]: ['readI16', 'writeI16'],
  [Type.I32]: ['readI32', 'writeI32'],
  [Type.I64]: ['readI64', 'writeI64'],
  [Type.Double]: ['readDouble', 'writeDouble'],
  [Type.String]: ['readBinary', 'writeBinary'],
  [Type.Uuid]: ['readUuid', 'writeUuid'],
}

const isKnown = (type) =>
  single[type] !== undefined || [Type.Struct, Type.Map, Type.Set, Type.List].includes(type)

function readStruct(input, depth) {
  const fields = []
  input.readStructBegin()
  for (;;) {
    const { ftype, fid } = input.readFieldBegin()
    if (ftype === Type.Stop) break
    fields.push({ type: ftype, id: (fid << 16) >> 16, value: readValue(input, ftype, depth + 1) })
    input.readFieldEnd()
  }
  input.readStructEnd()
  return fields
}

function readValue(input, type, depth) {
  if (depth >= depthLimit) throw new TooDeep()
  if (single[type] !== undefined) {
    const value = input[single[type][0]]()
    return value instanceof Buffer ? Buffer.from(value) : value
  }
  switch (type) {
    case Type.Struct:
      return readStruct(input, depth)
    case Type.List:
    case Type.Set: {
      const { etype, size } = type === Type.List ? input.readListBegin() : input.readSetBegin()
      const values = Array.from({ length: size }, () => readValue(input, etype, depth + 1))
      if (type === Type.List) input.readListEnd()
      else input.readSetEnd()
      // Where no element follows, a type that does not exist is no fault; not each protocol has a number for it.
      return size === 0 && !isKnown(etype) ? { etype: 0, values } : { etype, values }
    }
    case Type.Map: {
      const { ktype, vtype, size } = input.readMapBegin()
      const entries = Array.from({ length: size }, () => [
        readValue(input, ktype, depth + 1),
        readValue(input, vtype, depth + 1),
      ])
      input.readMapEnd()
      // Without entries the types are not on the wire of each protocol.
      return size === 0 ? { ktype: 0, vtype: 0, entries } : { ktype, vtype, entries }
    }
    default:
      throw new Thrift.TProtocolException(1, `There is no type ${type}`)
  }
}

function writeStruct(output, fields) {
  output.writeStructBegin('')
  for (const { type, id, value } of fields) {
    output.writeFieldBegin('', type, id)
    writeValue(output, type, value)
    output.writeFieldEnd()
  }
  output.writeFieldStop()
  output.writeStructEnd()
}

function writeValue(output, type, value) {
  if (single[type] !== undefined) return output[single[type][1]](value)
  if (type === Type.Struct) return writeStruct(output, value)
  if (type === Type.Map) {
    output.writeMapBegin(value.ktype, value.vtype, value.entries.length)
    for (const [key, entry] of value.entries) {
      writeValue(output, value.ktype, key)
      writeValue(output, value.vtype, entry)
    }
    output.writeMapEnd()
    return
  }
  const kind = type === Type.List ? 'List' : 'Set'
  output[`write${kind}Begin`](value.etype, value.values.length)
  for (const element of value.values) writeValue(output, value.etype, element)
  output[`write${kind}End`]()
}

/** Inflates what is compressed, as its message says how far. */
function opened(message) {
  if (message.kind !== 'compressed') return message
  const { payload, maxInflatedLength, open, tooLarge } = message
  let inflated
  try {
    inflated = inflateSync(payload, { maxOutputLength: Math.max(1, maxInflatedLength) })
  } catch {
    throw new Thrift.TProtocolException(1, 'It cannot be inflated')
  }
  if (inflated.length > maxInflatedLength) throw tooLarge()
  return open(inflated)
}

/** All that a frame says. `read` reads its body. */
function tell(message, read) {
  const { kind, id, method, metadata, timeout, body, error } = opened(message)
  assert(timeout === undefined || (Number.isSafeInteger(timeout) && timeout >= 0), `timeout ${timeout}`)
  const said = { kind, id, method, metadata: { ...metadata }, timeout, error: error && String(error) }
  return { ...said, body: body && outcomeOf(() => read(body)), at: body && body.end - body.at }
}

const walk = (input) => readStruct(input, 0)

/** The same outcome: the same refusal, or the same value. */
function assertSame(first, second, what) {
  assert(isDeepStrictEqual(comparable(first), comparable(second)), what)
}

function comparable({ value, refusal }) {
  if (refusal !== undefined) return `${refusal.constructor.name} ${refusal.type} ${refusal.message}`
  if (value?.body === undefined) return value
  return { ...value, body: comparable(value.body) }
}

/** What was read, in each protocol again. */
function assertWritable(fields) {
  for (const protocol of protocols) {
    const output = new protocol.Output()
    output.writeMessageBegin('', 1, 0)
    writeStruct(output, fields)
    const again = walk(protocol.openBody(output.take()))
    assert(isDeepStrictEqual(again, fields), `${protocol.name} reads something else than it wrote`)
  }
}

function decode(choices) {
  const limits = checkLimits(
    {
      maxElements: choices.of([65_536, 3, 0, Number.POSITIVE_INFINITY]),
      maxInflatedLength: choices.of([4096, 0, 10]),
    },
    65_536,
  )
  const kind = choices.below(4)
  const codec = kind === 3 ? new AnyCodec(limits) : new formats[kind](choices.of(protocols), limits)
  const frame = Buffer.from(choices.rest())
  const whole = outcomeOf(() => tell(codec.decode(frame), walk))
  // Among other bytes, which belong to other messages.
  for (const filler of [0x00, 0xff]) {
    const around = Buffer.alloc(frame.length + 32, filler)
    around.set(frame, 16)
    const at = { start: 16, end: 16 + frame.length }
    const elsewhere = outcomeOf(() => {
      if (kind !== 3) return tell(codec.read(around, at.start, at.end), walk)
      return tell(codec.decodeFrom(new Reader(around, at.start, at.end)), walk)
    })
    assertSame(whole, elsewhere, 'a frame says something else among other bytes')
  }
  if (whole.value === undefined) return
  const { id, kind: said, body } = whole.value
  if (kind === 0 && typeof id === 'number') assert.strictEqual(codec.id(frame), id, 'another id')
  if (body === undefined) return
  const skipped = outcomeOf(() => tell(codec.decode(frame), (input) => input.skip(Type.Struct)))
  if (skipped.value.body.refusal === undefined) {
    assert(body.refusal === undefined, `${said}: skipped, and not read: ${body.refusal}`)
    assert.strictEqual(skipped.value.at, whole.value.at, 'it skips to somewhere else')
  }
  // Whatever generated code makes of it.
  outcomeOf(() => tell(codec.decode(frame), (input) => new Everything().read(input)))
  if (body.value !== undefined) assertWritable(body.value)
}

/** Text that UTF-8 can say. */
const textOf = (choices) => choices.bytes(choices.below(40)).toString('utf8')

function encode(choices) {
  const limits = checkLimits({}, 65_536)
  const format = choices.of(formats)
  const codec = new format(choices.of(protocols), limits)
  const metadata = Object.create(null)
  const hasMetadata = format !== FramedCodec
  const count = hasMetadata ? choices.below(8) : 0
  for (let index = 0; index < count; index += 1) {
    const name =
      choices.below(3) === 0 && format === TTHeaderCodec
        ? `int:${100 + choices.below(256)}`
        : `k${textOf(choices)}`
    metadata[name] = textOf(choices)
  }
  const kind = choices.of(['call', 'oneway', 'reply'])
  const timeout = hasMetadata ? choices.of([0, 1, 100, 70_000]) : 0
  const id = (choices.below(256) << 24) | choices.below(256)
  const message = {
    kind,
    id,
    method: textOf(choices),
    metadata,
    ...(kind === 'reply' ? {} : { timeout }),
    body: choices.rest(),
  }
  const target = new Target()
  codec.encode(message, target)
  const read = codec.decode(target.take())
  const { body, ...others } = read
  const { body: sent, ...expected } = message
  assert.deepStrictEqual(
    { ...others, metadata: { ...others.metadata } },
    { ...expected, metadata: { ...metadata } },
  )
  assert(body.bytes.subarray(body.at, body.end).equals(sent), 'another body')
  if (hasMetadata) assert.strictEqual(body.sequence, id)
}

const reached = Reached.from(process.env.NETPOLL_FUZZ_GUIDED, '/dist/thrift/')
await serve((input) => {
  const choices = new Choices(input)
  if (choices.below(4) === 0) encode(choices)
  else decode(choices)
  return reached.hasMore()
})
