import test from 'ava'

import { delimiter, type Framing, lengthField, varint } from '../../dist/index.mjs'
import { endPlaces, ends, endWords } from '../support/ends.mjs'
import { codeOf } from '../support/netpoll.mjs'

const prefix = 'The peer announced a message longer than maxLength'
const http = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

interface Case {
  readonly title: string
  readonly framing: Framing
  readonly bytes: Uint8Array | string
  readonly message: string
  readonly code?: string
}

const cases: readonly Case[] = [
  {
    title: 'an HTTP request',
    framing: lengthField({ size: 4 }),
    bytes: http,
    message: `${prefix}, 1195725856 of 16777216 bytes: it begins with "GET / HTTP/1.1\\r\\n"`,
  },
  {
    title: 'a length of eight bytes',
    framing: lengthField({ size: 8, maxLength: 100 }),
    bytes: Buffer.alloc(8, 255),
    message: `${prefix}, 18446744073709551615 of 100 bytes: it begins with "${'\\xff'.repeat(8)}"`,
  },
  {
    title: 'a length behind more than is shown, with an adjustment',
    framing: lengthField({ size: 2, offset: 20, adjustment: -22, endian: 'little', maxLength: 10 }),
    bytes: Buffer.concat([Buffer.from('"\\\t\u0000'), Buffer.alloc(16, 'a'), Buffer.from([33, 0])]),
    message: `${prefix}, 11 of 10 bytes: it begins with "\\"\\\\\\t\\x00${'a'.repeat(12)}"`,
  },
  {
    title: 'a varint',
    framing: varint({ maxLength: 10 }),
    bytes: Buffer.from([11, 0x1b, 0x5b]),
    message: `${prefix}, 11 of 10 bytes: it begins with "\\x0b\\x1b["`,
  },
  {
    title: 'a varint whose end is not there',
    framing: varint({ maxLength: 10 }),
    bytes: Buffer.from([0x8b]),
    message: `${prefix}, 10 bytes: it begins with "\\x8b"`,
  },
  {
    title: 'a line',
    framing: delimiter('\n', { maxLength: 20 }),
    bytes: 'a line of which there is no end',
    message: `${prefix}, 20 bytes: it begins with "a line of which "`,
  },
  {
    title: 'a header that describes no message',
    framing: lengthField({ size: 4, adjustment: -4 }),
    bytes: Buffer.from([0, 0, 0, 3, 7]),
    message: 'The peer sent a header that describes no message: it begins with "\\x00\\x00\\x00\\x03\\x07"',
    code: 'ERR_FRAME_INVALID',
  },
]

for (const place of endPlaces) {
  for (const { title, framing, bytes, message, code = 'ERR_FRAME_TOO_LARGE' } of cases) {
    test(`the error of a refused frame says what was refused: ${title}, ${endWords(place)}`, async (t) => {
      const given = await ends(t, place, { framing })
      given.socket.end(bytes)
      const { error } = await given.errors.take()
      t.is(codeOf(error), code)
      t.is(error?.message, message)
      t.is((await given.gone.take()).error, error)
    })
  }

  test(`the error of a refused frame shows no byte of those before it: ${endWords(place)}`, async (t) => {
    const framing = lengthField({ size: 1, maxLength: 10 })
    const onRequest = (): void => {}
    const given = await ends(t, place, { framing, ...(place.side === 'dialed' && { onRequest }) })
    given.socket.write(Buffer.from([3, 65, 66, 67, 2, 68]))
    given.socket.end(Buffer.from([69, 11, 70]))
    const { error } = await given.errors.take()
    t.is(error?.message, `${prefix}, 11 of 10 bytes: it begins with "\\x0bF"`)
  })
}
