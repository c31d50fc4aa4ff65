import { deflateSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'

import { RpcError } from '../../dist/rpc/index.mjs'
import type { ThriftCall } from '../../dist/thrift/index.mjs'
import { binary } from '../../dist/thrift/binary.js'
import { compact } from '../../dist/thrift/compact.js'
import { Inbox } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, rejection, serve } from '../support/netpoll.mjs'
import { interopHandler, serveThrift, thriftClient } from '../support/thrift.mjs'
import { TApplicationException, TProtocolException } from '../support/thrift-service.mjs'

const INVALID_TRANSFORM = 8
const INVALID_PROTOCOL = 9

/** A call of `ping`, which has no arguments. */
function ping(id: number, protocol = binary): Buffer {
  return message('ping', 1, id, protocol)
}

function message(name: string, type: number, id: number, protocol = binary): Buffer {
  const head = Buffer.alloc(protocol.headLength(name, id))
  protocol.writeHead(head, 0, name, type, id)
  return Buffer.concat([head, Buffer.from([0])])
}

interface Parts {
  readonly magic: number
  readonly flags?: number
  readonly sequence: number
  readonly header: readonly number[]
  readonly payload: Uint8Array
}

/** A frame as the specifications of THeader and TTHeader draw it. */
function withHeader({ magic, flags = 0, sequence, header, payload }: Parts): Buffer {
  const words = Math.ceil(header.length / 4)
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(magic, 0)
  fixed.writeUInt16BE(flags, 2)
  fixed.writeInt32BE(sequence, 4)
  fixed.writeUInt16BE(words, 8)
  const padding = Buffer.alloc(4 * words - header.length)
  return frame(Buffer.concat([fixed, Uint8Array.from(header), padding, payload]))
}

const THEADER = 0x0fff
const TTHEADER = 0x1000

const text = (value: string) => [value.length, ...Buffer.from(value)]
const text16 = (value: string) => [value.length >> 8, value.length & 0xff, ...Buffer.from(value)]

/** Sends frames to a server, and gives what it makes of their metadata, and what it answers. */
async function exchange(t: ExecutionContext, request: Buffer): Promise<{ call: ThriftCall; reply: Buffer }> {
  const calls = new Inbox<ThriftCall>()
  const { port } = await serveThrift(t, (call) => {
    calls.push(call)
    return interopHandler()
  })
  const peer = await connectPeer(t, { port })
  await peer.write(request)
  const length = await peer.read(4)
  return { call: await calls.take(), reply: Buffer.concat([length, await peer.read(length.readUInt32BE())]) }
}

for (const { name, magic } of [
  { name: 'theader', magic: THEADER },
  { name: 'ttheader', magic: TTHEADER },
]) {
  test(`thrift ${name}: a request without metadata, and its reply, byte for byte`, async (t) => {
    const request = withHeader({ magic, sequence: 7, header: [0, 0], payload: ping(7) })
    t.is(
      request.toString('hex'),
      `0000001f${magic.toString(16).padStart(4, '0')}000000000007000100000000800100010000000470696e670000000700`,
    )
    const { call, reply } = await exchange(t, request)
    t.deepEqual({ ...call.metadata }, {})
    t.is(call.deadline, Infinity)
    t.deepEqual(reply, withHeader({ magic, sequence: 7, header: [0, 0], payload: message('ping', 2, 7) }))
  })

  test(`thrift ${name}: a reply keeps the number of the header and the id of the message apart`, async (t) => {
    const request = withHeader({
      magic,
      flags: 0xffff,
      sequence: 1_000_000,
      header: [0, 0],
      payload: ping(3),
    })
    const { reply } = await exchange(t, request)
    t.deepEqual(
      reply,
      withHeader({ magic, sequence: 1_000_000, header: [0, 0], payload: message('ping', 2, 3) }),
    )
  })

  test(`thrift ${name}: a request in the compact protocol is answered in it`, async (t) => {
    const request = withHeader({ magic, sequence: 5, header: [2, 0], payload: ping(5, compact) })
    const { reply } = await exchange(t, request)
    t.deepEqual(
      reply,
      withHeader({ magic, sequence: 5, header: [2, 0], payload: message('ping', 2, 5, compact) }),
    )
  })

  test(`thrift ${name}: metadata of every length arrives, whatever it is called`, async (t) => {
    const calls = new Inbox<ThriftCall>()
    const { port } = await serveThrift(t, (call) => {
      calls.push(call)
      return interopHandler()
    })
    const transport = name as 'theader' | 'ttheader'
    const client = thriftClient(t, port, { transport, connections: 1 })
    for (const length of [0, 1, 2, 3, 4, 5, 126, 127, 128, 300, 20_000]) {
      const metadata = {
        [`k${length}`]: 'ä'.repeat(length),
        ['__proto__']: 'own',
        constructor: 'c',
        '': 'unnamed',
      }
      await client.withOptions({ metadata }).ping()
      t.deepEqual({ ...(await calls.take()).metadata }, { ...metadata })
    }
    const error = await rejection(client.withOptions({ metadata: { long: 'x'.repeat(65_600) } }).ping())
    t.true(error instanceof TProtocolException)
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`name ${index}`, 'value']))
    t.true((await rejection(client.withOptions({ metadata: many }).ping())) instanceof TProtocolException)
    await client.service.ping()
    t.is(client.stats().connected, 1)
  })

  test(`thrift ${name}: headers that cannot be are refused, and their connection closes`, async (t) => {
    const errors = new Inbox<unknown>()
    const { port } = await serveThrift(t, undefined, { onError: errors.push })
    const text = magic === THEADER ? [1, 1, 0x7f] : [1, 0, 1, 0, 0x7f]
    const endless = magic === THEADER ? [0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x7f, 1] : [0, 0, 1, 0xff, 0xff, 0]
    const wrong: readonly Buffer[] = [
      withHeader({ magic, sequence: 1, header: [], payload: Buffer.alloc(0) }),
      withHeader({ magic, sequence: 1, header: [0, 0, ...text], payload: ping(1) }),
      withHeader({ magic, sequence: 1, header: endless, payload: ping(1) }),
      withHeader({ magic, sequence: 1, header: [9, 0], payload: ping(1) }),
      withHeader({ magic, sequence: 1, header: [0, 1, 77], payload: ping(1) }),
      withHeader({ magic, sequence: 1, header: [0, 0], payload: Buffer.from('nothing of Thrift') }),
    ]
    const beyond = withHeader({ magic, sequence: 1, header: [0, 0], payload: ping(1) })
    beyond.writeUInt16BE(0xffff, 12)
    for (const [index, bytes] of [...wrong, beyond].entries()) {
      const peer = await connectPeer(t, { port })
      await peer.write(bytes)
      t.deepEqual(await peer.readToEnd(), Buffer.alloc(0), `${index}`)
      const error = await errors.take()
      t.true(
        error instanceof TProtocolException || error instanceof TApplicationException,
        `${index}: ${error}`,
      )
      if (index === 3) t.is((error as { type: number }).type, INVALID_PROTOCOL)
      if (index === 4) t.is((error as { type: number }).type, INVALID_TRANSFORM)
    }
    await thriftClient(t, port).service.ping()
  })
}

test('thrift theader: metadata and timeout, byte for byte', async (t) => {
  const header = [0, 0, 1, 2, ...text('trace'), ...text('a1'), ...text('client_timeout'), ...text('2500')]
  const { call } = await exchange(t, withHeader({ magic: THEADER, sequence: 1, header, payload: ping(1) }))
  t.deepEqual({ ...call.metadata }, { trace: 'a1' })
  t.is(call.request.timeout, 2500)
})

test('thrift theader: kinds of entries that are newer than this are passed over', async (t) => {
  const header = [0, 0, 1, 1, ...text('a'), ...text('b'), 5, 0xff, 0xff]
  const { call } = await exchange(t, withHeader({ magic: THEADER, sequence: 1, header, payload: ping(1) }))
  t.deepEqual({ ...call.metadata }, { a: 'b' })
})

test('thrift theader: compressed messages are read', async (t) => {
  const once = withHeader({ magic: THEADER, sequence: 1, header: [0, 1, 1], payload: deflateSync(ping(1)) })
  const { reply } = await exchange(t, once)
  t.deepEqual(
    reply,
    withHeader({ magic: THEADER, sequence: 1, header: [0, 0], payload: message('ping', 2, 1) }),
  )
  const payload = deflateSync(ping(1))
  const header = [0, 1, 1, 1, 1, ...text('a'), ...text('b')]
  const { call } = await exchange(t, withHeader({ magic: THEADER, sequence: 1, header, payload }))
  t.deepEqual({ ...call.metadata }, { a: 'b' })
})

test('thrift theader: messages that cannot be decompressed, or to more than maxLength, close their connection', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serveThrift(t, undefined, { maxLength: 10_000, onError: errors.push })
  const payloads = [
    Buffer.from('not compressed'),
    deflateSync(Buffer.alloc(10_001)),
    deflateSync(ping(1)).subarray(0, 8),
  ]
  for (const payload of payloads) {
    const peer = await connectPeer(t, { port })
    await peer.write(withHeader({ magic: THEADER, sequence: 1, header: [0, 1, 1], payload }))
    t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
    t.true((await errors.take()) instanceof Error)
  }
  const peer = await connectPeer(t, { port })
  const header = [0, 5, 1, 1, 1, 1, 1]
  await peer.write(withHeader({ magic: THEADER, sequence: 1, header, payload: deflateSync(ping(1)) }))
  t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
  t.like(await errors.take(), { type: INVALID_TRANSFORM })
})

test('thrift ttheader: texts, numbered entries, token and timeout, byte for byte', async (t) => {
  const header = [
    ...[0, 0],
    ...[0x01, 0, 1, ...text16('trace'), ...text16('a1')],
    0,
    ...[0x10, 0, 2, 0, 3, ...text16('caller'), 0, 12, ...text16('2500')],
    ...[0x11, ...text16('token')],
  ]
  const { call } = await exchange(t, withHeader({ magic: TTHEADER, sequence: 1, header, payload: ping(1) }))
  t.deepEqual({ ...call.metadata }, { trace: 'a1', 'int:3': 'caller' })
  t.is(call.request.timeout, 2500)
})

test('thrift ttheader: what a client writes, byte for byte', async (t) => {
  const requests = new Inbox<Buffer>()
  const { port } = await serve(t, {}, (request) => {
    requests.push(request)
    return withHeader({
      magic: TTHEADER,
      sequence: request.readInt32BE(4),
      header: [0, 0],
      payload: message('ping', 2, request.readInt32BE(4)),
    }).subarray(4)
  })
  const client = thriftClient(t, port, { transport: 'ttheader', connections: 1 })
  const metadata = { 'int:3': 'caller', trace: 'a1', 'int:70000': 'text' }
  await client.withOptions({ metadata, deadline: new Date(Date.now() + 2_500_000) }).ping()
  const request = await requests.take()
  const id = request.readInt32BE(4)
  // What is left of it, however long the dial takes.
  const timeout = /2[45]\d{5}/.exec(request.toString('latin1'))?.[0] ?? ''
  const header = [
    ...[0, 0],
    ...[0x01, 0, 2, ...text16('trace'), ...text16('a1'), ...text16('int:70000'), ...text16('text')],
    ...[0x10, 0, 2, 0, 3, ...text16('caller'), 0, 12, ...text16(timeout)],
  ]
  t.deepEqual(frame(request), withHeader({ magic: TTHEADER, sequence: id, header, payload: ping(id) }))
})

test('thrift ttheader: an error of an application, as Kitex sends it beside a reply, rejects the call', async (t) => {
  const statuses = ['404', '0']
  const { port } = await serve(t, {}, (request) => {
    const sequence = request.readInt32BE(4)
    const entries = [
      ...text16('biz-status'),
      ...text16(statuses.shift() ?? ''),
      ...text16('biz-message'),
      ...text16('not found'),
    ]
    const header = [0, 0, 0x01, 0, 2, ...entries]
    return withHeader({ magic: TTHEADER, sequence, header, payload: message('ping', 2, sequence) }).subarray(
      4,
    )
  })
  const { service } = thriftClient(t, port, { transport: 'ttheader', connections: 1 })
  const error = await rejection(service.ping())
  t.true(error instanceof RpcError)
  t.is(codeOf(error), '404')
  t.is((error as Error).message, 'not found')
  t.is(await service.ping(), undefined)
})

test('thrift: timeouts that are none are not taken for one', async (t) => {
  for (const timeout of ['', '0', '-5', 'soon', '1.5', '1e400', '99999999999999999999']) {
    const header = [0, 0, 1, 1, ...text('client_timeout'), ...text(timeout)]
    const { call } = await exchange(t, withHeader({ magic: THEADER, sequence: 1, header, payload: ping(1) }))
    t.is(call.request.timeout, 0, timeout)
  }
})

test('thrift: a server answers each request in the format in which it came, on one connection', async (t) => {
  const { port } = await serveThrift(t)
  const peer = await connectPeer(t, { port })
  const requests = [
    { request: frame(ping(1)), reply: frame(message('ping', 2, 1)) },
    { request: frame(ping(2, compact)), reply: frame(message('ping', 2, 2, compact)) },
  ]
  for (const magic of [THEADER, TTHEADER]) {
    for (const protocol of [binary, compact]) {
      const parts = { magic, sequence: 9, header: [protocol.id, 0] }
      requests.push({
        request: withHeader({ ...parts, payload: ping(9, protocol) }),
        reply: withHeader({ ...parts, payload: message('ping', 2, 9, protocol) }),
      })
    }
  }
  for (const { request, reply } of [...requests, ...requests]) {
    await peer.write(request)
    t.deepEqual(await peer.read(reply.length), reply)
  }
})
