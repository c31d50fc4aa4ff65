import test from 'ava'

import {
  createServer,
  Dialer,
  delimiter,
  type FramedServerOptions,
  lengthField,
  readerFrom,
  varint,
  writerTo,
} from '../../dist/index.mjs'
import { dial, framing, serve } from '../support/netpoll.mjs'

interface Wrong {
  readonly title: string
  readonly act: () => unknown
  readonly code: string
}

const type = 'ERR_INVALID_ARG_TYPE'
const value = 'ERR_INVALID_ARG_VALUE'
const make = (options: unknown, handler?: unknown): unknown =>
  createServer(options as FramedServerOptions, handler as undefined)
/** Settings that a dialer refuses, and a dial as well. */
const dialSettings: readonly { readonly title: string; readonly settings: object; readonly code: string }[] =
  [
    { title: 'attempts that follow too fast', settings: { connectionAttemptDelay: 9 }, code: value },
    {
      title: 'a delay of attempts that is a string',
      settings: { connectionAttemptDelay: '250' },
      code: type,
    },
    { title: 'a lookup that is no function', settings: { lookup: 'localhost' }, code: type },
    { title: 'a local address that is a name', settings: { localAddress: 'localhost' }, code: value },
    { title: 'local port 65,536', settings: { localPort: 65_536 }, code: value },
    { title: 'a local port that is a string', settings: { localPort: '80' }, code: type },
  ]
const dialer = (options: unknown): unknown => new Dialer(options as ConstructorParameters<typeof Dialer>[0])
const field = (options: unknown): unknown => lengthField(options as Parameters<typeof lengthField>[0])

const functions = ['onRequest', 'onError', 'onDisconnect'].flatMap((name) =>
  [1, 'f', {}, null].map((wrong) => ({ name, wrong, code: type })),
)
const switches = ['noDelay', 'allowHalfOpen', 'ordered'].flatMap((name) =>
  [1, 'true', {}, null].map((wrong) => ({ name, wrong, code: type })),
)
const numbers = ['highWaterMark', 'maxCloseTime', 'maxInFlight', 'maxBufferedBytes'].flatMap((name) => [
  ...['1', true, {}, 1n].map((wrong) => ({ name, wrong, code: type })),
  ...[-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60].map((wrong) => ({
    name,
    wrong,
    code: value,
  })),
])
const shared = [
  ...functions,
  ...switches,
  ...numbers,
  { name: 'highWaterMark', wrong: 0, code: value },
  { name: 'maxInFlight', wrong: 0, code: value },
  { name: 'maxCloseTime', wrong: 0, code: value },
  { name: 'bytes', wrong: 'string', code: type },
  { name: 'bytes', wrong: null, code: type },
  { name: 'framing', wrong: {}, code: type },
  { name: 'framing', wrong: 'lengthField', code: type },
]

const text = (wrong: unknown): string => (typeof wrong === 'object' ? JSON.stringify(wrong) : String(wrong))

const wrongs: readonly Wrong[] = [
  ...shared.flatMap(({ name, wrong, code }) => [
    {
      title: `a server’s ${name} that is the ${typeof wrong} ${text(wrong)}`,
      act: () => make({ framing, [name]: wrong }),
      code,
    },
    {
      title: `a dialer’s ${name} that is the ${typeof wrong} ${text(wrong)}`,
      act: () => dialer({ framing, [name]: wrong }),
      code,
    },
  ]),
  ...[undefined, null, 'options', 1].flatMap((wrong) => [
    { title: `a server’s options that are ${wrong}`, act: () => make(wrong), code: type },
    {
      title: `a server’s options that are ${wrong} beside a handler`,
      act: () => make(wrong, () => {}),
      code: type,
    },
  ]),
  ...[null, 'options', 1].map((wrong) => ({
    title: `a dialer’s options that are ${wrong}`,
    act: () => dialer(wrong),
    code: type,
  })),
  { title: 'a handler that is no function', act: () => make({ framing }, {}), code: type },
  { title: 'an onConnect that is no function', act: () => make({ framing, onConnect: 1 }), code: type },
  {
    title: 'a connectTimeout that is a string',
    act: () => dialer({ framing, connectTimeout: '1' }),
    code: type,
  },
  ...dialSettings.map(({ title, settings, code }) => ({
    title: `a dialer with ${title}`,
    act: () => dialer({ framing, ...settings }),
    code,
  })),
  ...[0, 5, 1.5, '4', undefined].map((size) => ({
    title: `a length field of the ${typeof size} ${size} bytes`,
    act: () => field({ size }),
    code: value,
  })),
  { title: 'a length field without options', act: () => field(undefined), code: type },
  { title: 'a negative offset', act: () => field({ size: 4, offset: -1 }), code: value },
  { title: 'an offset that is a string', act: () => field({ size: 4, offset: '1' }), code: type },
  {
    title: 'an adjustment that is no whole number',
    act: () => field({ size: 4, adjustment: 0.5 }),
    code: value,
  },
  { title: 'a strip beyond the length', act: () => field({ size: 4, strip: 5 }), code: value },
  { title: 'a strip within the length', act: () => field({ size: 4, offset: 1, strip: 2 }), code: value },
  { title: 'an endian that is none', act: () => field({ size: 4, endian: 'middle' }), code: value },
  { title: 'a negative maxLength', act: () => field({ size: 4, maxLength: -1 }), code: value },
  { title: 'a maxLength of 2 GiB', act: () => varint({ maxLength: 2 ** 31 }), code: value },
  {
    title: 'a maxLength that is a string',
    act: () => varint({ maxLength: '1' as unknown as number }),
    code: type,
  },
  { title: 'an empty delimiter', act: () => delimiter(''), code: value },
  { title: 'a delimiter of no bytes', act: () => delimiter(new Uint8Array(0)), code: value },
  { title: 'a delimiter that is a number', act: () => delimiter(10 as unknown as string), code: type },
]

for (const { title, act, code } of wrongs) {
  test(`${title} is refused`, (t) => {
    t.throws(act, { instanceOf: TypeError, code })
  })
}

const listens: readonly { readonly title: string; readonly options: unknown; readonly code: string }[] = [
  { title: 'without options', options: undefined, code: type },
  { title: 'on nothing', options: {}, code: type },
  { title: 'on null', options: null, code: type },
  { title: 'on a port that is a string', options: { port: '80' }, code: type },
  { title: 'on a negative port', options: { port: -1 }, code: value },
  { title: 'on port 65,536', options: { port: 65_536 }, code: value },
  { title: 'on a host that is a number', options: { port: 0, host: 1 }, code: type },
  { title: 'on an empty host', options: { port: 0, host: '' }, code: type },
  { title: 'on an empty path', options: { path: '' }, code: type },
  { title: 'on a path that is a number', options: { path: 1 }, code: type },
  {
    title: 'with a backlog that is a string',
    options: { host: '127.0.0.1', port: 0, backlog: '1' },
    code: type,
  },
  { title: 'with a negative backlog', options: { host: '127.0.0.1', port: 0, backlog: -1 }, code: value },
  { title: 'with a backlog of 1.5', options: { host: '127.0.0.1', port: 0, backlog: 1.5 }, code: value },
]

for (const { title, options, code } of listens) {
  test(`to listen ${title} is refused, and spoils nothing`, async (t) => {
    const server = createServer({ framing }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await t.throwsAsync(server.listen(options as { port: number }), { instanceOf: TypeError, code })
    await server.listen({ host: '127.0.0.1', port: 0 })
    t.true(server.listening)
  })
}

const dials: readonly { readonly title: string; readonly options: unknown; readonly code: string }[] = [
  { title: 'without options', options: undefined, code: type },
  { title: 'nobody', options: {}, code: type },
  { title: 'port 0', options: { port: 0 }, code: value },
  { title: 'a port that is a word', options: { port: 'http' }, code: value },
  { title: 'a port that is an empty text', options: { port: ' ' }, code: value },
  { title: 'port 0 as text', options: { port: '0' }, code: value },
  { title: 'a port of 80.5 as text', options: { port: '80.5' }, code: value },
  { title: 'port 65,536 as text', options: { port: '65536' }, code: value },
  { title: 'a port that is a list', options: { port: ['80'] }, code: type },
  { title: 'a port that is a boolean', options: { port: true }, code: type },
  { title: 'a port that is null', options: { port: null }, code: type },
  { title: 'a host that is a number', options: { port: 1, host: 1 }, code: type },
  { title: 'an empty path', options: { path: '' }, code: type },
  { title: 'a path that is a number', options: { path: 1 }, code: type },
  { title: 'nobody, as an agent', options: { path: null, host: 'localhost' }, code: type },
  { title: 'a family that is none', options: { port: 1, family: 5 }, code: value },
  { title: 'with a signal that is none', options: { port: 1, host: '127.0.0.1', signal: {} }, code: type },
]

for (const { title, settings, code } of dialSettings) {
  test(`to dial with ${title} is refused`, async (t) => {
    const dialing = new Dialer({ framing }).dial({ port: 1, host: '127.0.0.1', ...settings } as {
      port: number
    })
    await t.throwsAsync(dialing, { instanceOf: TypeError, code })
  })
}

for (const { title, options, code } of dials) {
  test(`to dial ${title} is refused`, async (t) => {
    const dialing = new Dialer({ framing }).dial(options as { port: number })
    await t.throwsAsync(dialing, { instanceOf: TypeError, code })
  })
}

for (const source of [undefined, null, 42, 'text', {}]) {
  test(`a reader from ${source} and a writer to it are refused`, (t) => {
    t.throws(() => readerFrom(source as never), { instanceOf: TypeError, code: type })
    t.throws(() => writerTo(source as never), { instanceOf: TypeError, code: type })
  })
}

test('to wait for what is no number of bytes rejects', async (t) => {
  const reader = readerFrom([])
  for (const length of [-1, 0.5, Number.NaN, 2 ** 31]) {
    await t.throwsAsync(reader.fill(length), { instanceOf: TypeError, code: value })
  }
  await t.throwsAsync(reader.fill('1' as never), { instanceOf: TypeError, code: type })
  await t.throwsAsync(reader.fillUntil(''), { instanceOf: TypeError, code: type })
})

const calls: readonly { readonly title: string; readonly options: unknown; readonly code: string }[] = [
  { title: 'a timeout that is a string', options: { timeout: '1' }, code: type },
  { title: 'a signal that is none', options: { signal: {} }, code: type },
]

for (const { title, options, code } of calls) {
  test(`a call with ${title} is refused, and sends nothing`, async (t) => {
    const requests: string[] = []
    const { port } = await serve(t, {}, (request) => {
      requests.push(request.toString())
      return request
    })
    const client = await dial(t, { port, host: '127.0.0.1' })
    await t.throwsAsync(client.call('wrong', options as { timeout: number }), { instanceOf: TypeError, code })
    t.is((await client.call('right')).toString(), 'right')
    t.deepEqual(requests, ['right'])
  })
}

for (const message of [1, null, undefined, {}, [1], new ArrayBuffer(1)]) {
  const title = Array.isArray(message) ? 'a list of numbers' : Object.prototype.toString.call(message)
  test(`to send or call ${title} is refused, and closes nothing`, async (t) => {
    const { port } = await serve(t, {}, (request) => request)
    const client = await dial(t, { port, host: '127.0.0.1' })
    await t.throwsAsync(client.send(message as unknown as string), { instanceOf: TypeError, code: type })
    await t.throwsAsync(client.call(message as unknown as string), { instanceOf: TypeError, code: type })
    t.is((await client.call('right')).toString(), 'right')
  })
}

for (const timeout of ['1', Number.NaN, -1]) {
  test(`to close a server with the timeout ${typeof timeout} ${timeout} is refused`, async (t) => {
    const { server } = await serve(t, {}, (request) => request)
    const instanceOf = typeof timeout === 'number' ? RangeError : TypeError
    await t.throwsAsync(server.close({ timeout: timeout as number }), { instanceOf })
    t.true(server.listening)
  })
}
