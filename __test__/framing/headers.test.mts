// Which bytes count as the header of a message: those that are written before it, and no others. A reply that has them is sent
// from where it arrived, so whatever else counted would go to the peer.
import test from 'ava'

import { lengthField } from '../../dist/index.mjs'
import { Delimiter, type FramingRules, LengthField, streamRules, Varint } from '../../dist/framing/rules.js'
import { Inbox } from '../support/deferred.mjs'
import { codeOf, connectPeer, serve } from '../support/netpoll.mjs'

const kinds: readonly (readonly [title: string, rules: FramingRules, lengths: readonly number[]])[] = [
  ['the usual length field', new LengthField({ size: 4 }), [0, 1, 255, 256, 65_536, 2 ** 31]],
  ['one of its own endianness', new LengthField({ size: 4, endian: 'little' }), [0, 1, 255, 256, 65_536]],
  ['one byte', new LengthField({ size: 1 }), [0, 1, 255]],
  ['three bytes', new LengthField({ size: 3 }), [0, 255, 256, 65_536, 2 ** 24 - 1]],
  ['eight bytes', new LengthField({ size: 8 }), [0, 256, 2 ** 32, 2 ** 40 + 5]],
  ['bytes before the field', new LengthField({ size: 2, offset: 3 }), [0, 1, 256, 65_535]],
  ['a length that counts more', new LengthField({ size: 4, adjustment: -4 }), [0, 1, 252, 2 ** 31]],
  ['a length that counts less', new LengthField({ size: 4, adjustment: 4 }), [4, 5, 260, 2 ** 31]],
  ['a field in the message', new LengthField({ size: 2, offset: 2, strip: 0 }), [4, 5]],
  ['zeros that are cut off', new LengthField({ size: 2, offset: 2, strip: 2 }), [2, 5]],
  ['a varint', new Varint({}), [0, 1, 127, 128, 16_383, 16_384, 2 ** 31]],
  ['a delimiter', new Delimiter(Buffer.from('\r\n'), {}), [0, 7]],
  ['no framing', streamRules, [0, 7]],
]

/** A header for `length` behind `before` bytes. */
function written(rules: FramingRules, before: number, length: number): Buffer {
  const bytes = Buffer.alloc(before + rules.headerLength(length) + 8, 0x5a)
  rules.writeHeader(bytes, before, length)
  return bytes
}

for (const [title, rules, lengths] of kinds) {
  test(`a header counts wherever it stands, and not with another byte: ${title}`, (t) => {
    for (const length of lengths) {
      for (const before of [0, 3]) {
        const bytes = written(rules, before, length)
        t.true(rules.hasHeader(bytes, before, length), `${length}`)
        for (let at = before; at < before + rules.headerLength(length); at += 1) {
          for (const bit of [1, 0x80]) {
            const other = Buffer.from(bytes)
            other[at] = Number(other[at]) ^ bit
            t.false(rules.hasHeader(other, before, length), `${length}, byte ${at}`)
          }
        }
      }
    }
  })
}

for (const [title, rules, lengths] of kinds
  .slice(0, 8)
  .concat(kinds.filter(([name]) => name === 'a varint'))) {
  test(`the header of one length is that of no other: ${title}`, (t) => {
    for (const length of lengths) {
      const bytes = written(rules, 0, length)
      for (const other of lengths)
        t.is(rules.hasHeader(bytes, 0, other), other === length, `${length} ${other}`)
    }
  })
}

const unrepresentable: readonly (readonly [
  title: string,
  rules: FramingRules,
  length: number,
  header: number[],
])[] = [
  ['less than nothing', new LengthField({ size: 4, adjustment: 4 }), 0, [0xff, 0xff, 0xff, 0xfc]],
  [
    'less than nothing, little',
    new LengthField({ size: 4, adjustment: 4, endian: 'little' }),
    0,
    [0xfc, 0xff, 0xff, 0xff],
  ],
  ['less than nothing, of two bytes', new LengthField({ size: 2, adjustment: 4 }), 3, [0xff, 0xff]],
  ['more than a byte', new LengthField({ size: 1 }), 256, [0]],
  ['more than four bytes', new LengthField({ size: 4 }), 2 ** 32 + 1, [0, 0, 0, 1]],
]

for (const [title, rules, length, header] of unrepresentable) {
  test(`no bytes are the header of a length that none can say: ${title}`, (t) => {
    t.throws(() => rules.writeHeader(Buffer.alloc(8), 0, length), { code: 'ERR_FRAME_TOO_LARGE' })
    t.false(rules.hasHeader(Buffer.from(header), 0, length))
  })
}

test('a view of a request is no reply where no header can say its length, whatever stands before it', async (t) => {
  const errors = new Inbox<unknown>()
  const framing = lengthField({ size: 4, adjustment: 100_000 })
  const options = { framing, onError: (error: unknown) => errors.push(error) }
  const { port } = await serve(t, options, (request) => request.subarray(4, 50_004))
  const peer = await connectPeer(t, { port })
  const message = Buffer.alloc(4 + 100_000)
  // As the header would be of 50,000 bytes, if there were negative ones.
  message.writeInt32BE(-50_000, 4)
  await peer.write(message)
  peer.end()
  t.is((await peer.readToEnd()).length, 0)
  t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
})
