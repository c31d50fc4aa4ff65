import { AsyncLocalStorage } from 'node:async_hooks'
import { deflateSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  lengthField,
  type ListenOptions,
  type NetpollError,
} from '../../dist/index.mjs'
import { binary } from '../../dist/thrift/binary.js'
import { compact } from '../../dist/thrift/compact.js'
import {
  createThriftClient,
  createThriftServer,
  type ThriftLimits,
  type ThriftServer,
  type ThriftServerOptions,
} from '../../dist/thrift/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, portOf, rejection, serve } from '../support/netpoll.mjs'
import type { Peer, Target } from '../support/peer.mjs'
import { portOfCalls } from '../support/rpc.mjs'
import { runFixture, socketPath } from '../support/system.mjs'
import { interopHandler, protocols, serveThrift, thriftClient } from '../support/thrift.mjs'
import { compressedFrame, pingWithZeros, thriftMessage } from '../support/thrift-bombs.mjs'
import {
  Interop,
  type InteropClient,
  type InteropHandler,
  TApplicationException,
  TProtocolException,
  types,
} from '../support/thrift-service.mjs'

const byName = { binary, compact }
const MiB = 1024 * 1024
const INVALID_TRANSFORM = 8
const PROTOCOL_ERROR = 7
const SIZE_LIMIT = 3
const DEPTH_LIMIT = 6

/** Where connections are polled, and how they come. */
const modes = [0, 1, 2].flatMap((pollers) =>
  (['tcp', 'unix'] as const).map((socket) => ({ pollers, socket })),
)

/** A server in one of the modes, gone with the test. */
async function serveIn(
  t: ExecutionContext,
  { pollers, socket }: (typeof modes)[number],
  handler: Partial<InteropHandler>,
  options: ThriftServerOptions = {},
): Promise<{ readonly server: ThriftServer; readonly target: Target }> {
  const server = createThriftServer(Interop, handler, { pollers, ...options })
  t.teardown(() => server.close({ timeout: 0 }))
  const place: ListenOptions = socket === 'unix' ? { path: socketPath(t) } : { host: '127.0.0.1', port: 0 }
  await server.listen(place)
  return { server, target: 'path' in place ? { path: place.path } : { port: portOfCalls(server) } }
}

/** The body of a call of `tell`. */
function news(text: string): Buffer {
  const output = new binary.Output()
  output.writeMessageBegin('', 1, 0)
  output.writeFieldBegin('news', 11, 1)
  output.writeString(text)
  output.writeFieldStop()
  return output.take()
}

/** The body of `tell` with a text of so many bytes that zlib cannot make much smaller. */
function tell(text: string, padding = 0): Buffer {
  const zeros = Buffer.alloc(padding)
  return Buffer.concat([thriftMessage('tell', { type: 4, body: news(text) }), zeros])
}

/** The body of a call of `echo`, or of its reply, whose struct has the fields that `write` writes. */
function echoBody(
  protocol: typeof binary,
  write: (output: InstanceType<typeof binary.Output>) => void,
  field = 1,
): Buffer {
  const output = new protocol.Output()
  output.writeMessageBegin('', 1, 0)
  output.writeStructBegin('')
  output.writeFieldBegin('', 12, field)
  output.writeStructBegin('')
  write(output)
  output.writeFieldStop()
  output.writeStructEnd()
  output.writeFieldStop()
  output.writeStructEnd()
  return output.take()
}

type Write = (output: InstanceType<typeof binary.Output>, count: number) => void

/** What has `count` elements, of whatever kind, in fields that are known, have another type, or are not known. */
const containers: Readonly<Record<string, Write>> = {
  numbers: (output, count) => list(output, { id: 10, type: 8, count }, () => output.writeI32(0)),
  flags: (output, count) => list(output, { id: 16, type: 2, count }, () => output.writeBool(false)),
  'a set': (output, count) => {
    output.writeFieldBegin('', 14, 11)
    output.writeSetBegin(11, count)
    for (let index = 0; index < count; index += 1) output.writeString('')
  },
  'a map': (output, count) => map(output, 41, count, () => output.writeBool(true), 2),
  'a map of structs': (output, count) => map(output, 12, count, () => output.writeFieldStop(), 12),
  'lists of lists': (output, count) => {
    list(output, { id: 17, type: 15, count: 2 }, (index) => {
      output.writeListBegin(10, index === 0 ? 1 : count - 3)
      for (let inner = 0; inner < (index === 0 ? 1 : count - 3); inner += 1) output.writeI64(0)
    })
  },
  'two lists': (output, count) => {
    list(output, { id: 10, type: 8, count: count - 1 }, () => output.writeI32(0))
    list(output, { id: 16, type: 2, count: 1 }, () => output.writeBool(false))
  },
  'a list of another type': (output, count) => {
    list(output, { id: 8, type: 3, count: count - 1 }, () => output.writeByte(0))
  },
  'an unknown list': (output, count) => {
    list(output, { id: 99, type: 3, count: count - 1 }, () => output.writeByte(0))
  },
  'an unknown list of booleans': (output, count) => {
    list(output, { id: 99, type: 2, count: count - 1 }, () => output.writeBool(true))
  },
  'an unknown list of empty structs': (output, count) => {
    list(output, { id: 99, type: 12, count: count - 1 }, () => output.writeFieldStop())
  },
  'an unknown map': (output, count) => map(output, 99, count - 1, () => output.writeBool(true), 2),
  'unknown fields': (output, count) => {
    for (let index = 0; index < count; index += 1) {
      output.writeFieldBegin('', 2, 100 + index)
      output.writeBool(true)
    }
  },
}

function list(
  output: InstanceType<typeof binary.Output>,
  { id, type, count }: { readonly id: number; readonly type: number; readonly count: number },
  write: (index: number) => void,
): void {
  output.writeFieldBegin('', 15, id)
  output.writeListBegin(type, count)
  for (let index = 0; index < count; index += 1) write(index)
}

function map(
  output: InstanceType<typeof binary.Output>,
  id: number,
  count: number,
  write: () => void,
  type: number,
): void {
  output.writeFieldBegin('', 13, id)
  output.writeMapBegin(11, type, count)
  for (let index = 0; index < count; index += 1) {
    output.writeString(String(index))
    write()
  }
}

const wrong: Readonly<Record<keyof ThriftLimits, readonly unknown[]>> = {
  maxLength: [-1, 1.5, NaN, Infinity, null, '1', 2 ** 31, true],
  maxElements: [-1, 1.5, NaN, -Infinity, null, '1', {}],
  maxInflatedLength: [-1, 1.5, NaN, Infinity, null, '1', 2 ** 31],
  maxInflationRatio: [0, 0.99, -1, NaN, -Infinity, null, '1'],
}
const right: Readonly<Record<keyof ThriftLimits, readonly (number | undefined)[]>> = {
  maxLength: [undefined, 0, 1, 2 ** 31 - 65],
  maxElements: [undefined, 0, 1, Infinity],
  maxInflatedLength: [undefined, 0, 1, 2 ** 31 - 65],
  maxInflationRatio: [undefined, 1, 1.5, Infinity],
}

for (const name of Object.keys(wrong) as (keyof ThriftLimits)[]) {
  test(`thrift ${name}: what is no limit is refused when it is given`, async (t) => {
    const make: readonly ((options: object) => unknown)[] = [
      (options) => createThriftServer(Interop, interopHandler(), options),
      (options) => createThriftClient(Interop, { port: 1 }, options),
    ]
    for (const makeOne of make) {
      for (const value of wrong[name]) {
        const error = t.throws(() => makeOne({ [name]: value }), { instanceOf: TypeError }, String(value))
        t.true(error?.message.includes(`options.${name}`), error?.message)
      }
      for (const value of right[name]) {
        const made = makeOne({ [name]: value }) as AsyncDisposable
        await made[Symbol.asyncDispose]()
      }
    }
  })
}

for (const protocolName of protocols) {
  const protocol = byName[protocolName]
  for (const [what, write] of Object.entries(containers)) {
    test(`thrift ${protocolName}: maxElements bounds ${what}, of requests and of replies`, async (t) => {
      const most = 40
      const bodies = [most, most + 1].map((count) => ({
        request: echoBody(protocol as typeof binary, (output) => write(output, count)),
        reply: echoBody(protocol as typeof binary, (output) => write(output, count), 0),
      }))
      const { port } = await serveThrift(t, { echo: () => new types.Everything() }, { maxElements: most })
      const peer = await connectPeer(t, { port })
      for (const [index, { request }] of bodies.entries()) {
        await peer.write(frame(thriftMessage('echo', { id: index, body: request, protocol })))
        const { type, bytes } = await readReply(peer, protocol)
        t.is(type, index === 0 ? 2 : 3)
        t.is(bytes.includes('maxElements, 40'), index === 1)
        if (index === 1) t.true(bytes.includes(protocol === binary ? PROTOCOL_ERROR : 2 * PROTOCOL_ERROR))
      }
      const replies = bodies.map(({ reply }) => reply)
      const peerServer = await serve(t, {}, (bytes) =>
        thriftMessage('echo', {
          type: 2,
          id: protocol.idOf(bytes) ?? -1,
          body: replies.shift() ?? Buffer.alloc(0),
          protocol,
        }),
      )
      const options = { protocol: protocolName, maxElements: most, connections: 1 }
      const { service } = thriftClient(t, peerServer.port, options)
      t.true((await service.echo({})) instanceof types.Everything)
      const error = await rejection(service.echo({}))
      t.true(error instanceof TProtocolException)
      t.like(error, { type: SIZE_LIMIT })
      t.regex((error as Error).message, /maxElements, 40/)
    })
  }

  test(`thrift ${protocolName}: structs that generated code reads lie no deeper than is skipped`, (t) => {
    const depths: number[] = []
    const read = (input: ReturnType<typeof protocol.openBody>, depth: number): void => {
      depths.push(depth)
      input.readStructBegin()
      while (input.readFieldBegin().ftype !== 0) read(input, depth + 1)
      input.readStructEnd()
    }
    const nested = (levels: number): Buffer => {
      const output = new protocol.Output()
      output.writeMessageBegin('', 1, 0)
      const write = (left: number): void => {
        output.writeStructBegin('')
        if (left > 1) {
          output.writeFieldBegin('', 12, 1)
          write(left - 1)
        }
        output.writeFieldStop()
        output.writeStructEnd()
      }
      write(levels)
      return output.take()
    }
    read(protocol.openBody(nested(64)), 1)
    t.is(depths.at(-1), 64)
    for (const levels of [65, 1_000]) {
      depths.length = 0
      try {
        read(protocol.openBody(nested(levels)), 1)
        t.fail()
      } catch (error) {
        t.like(error, { name: 'TProtocolException', type: DEPTH_LIMIT })
      }
      t.is(depths.at(-1), 65)
    }
    // One beside the other they are no deeper.
    const wide = protocol.openBody(Buffer.concat(Array.from({ length: 100 }, () => nested(64))))
    for (let index = 0; index < 100; index += 1) read(wide, 1)
    t.is(wide.remaining, 0)
  })
}

async function readReply(
  peer: Peer,
  protocol: { open(bytes: Buffer, at: number): { readMessageBegin(): { mtype: number } } },
): Promise<{ readonly type: number; readonly bytes: Buffer }> {
  const length = await peer.read(4)
  const bytes = await peer.read(length.readUInt32BE())
  return { type: protocol.open(bytes, 0).readMessageBegin().mtype, bytes }
}

test('thrift: by default a server takes frames of 4 MiB, and 65,536 elements', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serveThrift(t, undefined, { onError: errors.push })
  const peer = await connectPeer(t, { port })
  const header = Buffer.alloc(4)
  header.writeUInt32BE(4 * MiB)
  await peer.write(Buffer.concat([header, pingWithZeros(4 * MiB - thriftMessage('ping').length)]))
  t.is((await readReply(peer, binary)).type, 2)
  for (const count of [65_536, 65_537]) {
    const body = echoBody(binary, (output) =>
      list(output, { id: 16, type: 2, count }, () => output.writeBool(false)),
    )
    await peer.write(frame(thriftMessage('echo', { body })))
    t.is((await readReply(peer, binary)).type, count === 65_536 ? 2 : 3)
  }
  header.writeUInt32BE(4 * MiB + 1)
  await peer.write(header)
  t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
  t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
})

test('thrift theader: a message is compressed once, or refused', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serveThrift(t, undefined, { onError: errors.push })
  for (const times of [2, 3, 4, 5, 100]) {
    const peer = await connectPeer(t, { port })
    await peer.write(compressedFrame(thriftMessage('ping'), { times }))
    t.deepEqual(await peer.readToEnd(), Buffer.alloc(0), `${times}`)
    t.like(await errors.take(), { type: INVALID_TRANSFORM })
  }
})

for (const mode of modes) {
  const named = `${mode.pollers} pollers, ${mode.socket}`

  test(`thrift theader: what becomes more than it may closes its connection; ${named}`, async (t) => {
    const errors = new Inbox<unknown>()
    const handled: string[] = []
    const { server, target } = await serveIn(
      t,
      mode,
      { ping: () => {}, tell: (text) => void handled.push(text) },
      { maxInflatedLength: 2_000_000, maxInflationRatio: 50, onError: errors.push },
    )
    const refused: readonly [Buffer, RegExp][] = [
      [compressedFrame(exactly(2 * MiB)), /maxInflationRatio, 50 times/],
      [compressedFrame(exactly(16 * MiB)), /maxInflationRatio, 50 times/],
      [compressedFrame(incompressible(2_000_001)), /maxInflatedLength, 2000000 bytes/],
      [compressedFrame(exactly(MiB + 1)), /maxInflationRatio, 50 times/],
    ]
    for (const [bytes, message] of refused) {
      const peer = await connectPeer(t, target)
      // Of what comes behind it nothing is read.
      await peer.write(Buffer.concat([bytes, frame(tell('behind')), compressedFrame(tell('behind'))]))
      t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
      const error = await errors.take()
      t.is(codeOf(error), 'ERR_INFLATED_TOO_LARGE')
      t.regex((error as Error).message, message)
    }
    const peer = await connectPeer(t, target)
    for (const bytes of [exactly(MiB), incompressible(2_000_000), thriftMessage('ping')]) {
      await peer.write(compressedFrame(bytes))
      await peer.read((await peer.read(4)).readUInt32BE())
    }
    t.deepEqual(handled, [])
    t.deepEqual(server.stats().inflation, {
      inflated: MiB + 2_000_000 + thriftMessage('ping').length,
      held: 0,
      waiting: 0,
    })
  })

  test(`thrift theader: calls begin in the order of their messages, compressed or not; ${named}`, async (t) => {
    const handled = new Inbox<string>()
    const { target } = await serveIn(t, mode, { tell: (text) => handled.push(text) })
    const peer = await connectPeer(t, target)
    const frames: Buffer[] = []
    const expected: string[] = []
    for (let index = 0; index < 60; index += 1) {
      expected.push(`${index}`)
      const padding = [0, 500_000, 0, 16_384, 0, 20_000, 0, 0][index % 8] as number
      frames.push(index % 2 === 1 ? compressedFrame(tell(`${index}`, padding)) : frame(tell(`${index}`)))
    }
    await peer.write(Buffer.concat(frames))
    await handled.reach(frames.length)
    t.deepEqual(handled.all, expected)
    // Once nothing is under way, they are read at once again.
    await peer.write(frame(tell('last')))
    await handled.reach(frames.length + 1)
  })

  test(`thrift theader: what calls hold counts against maxBufferedBytes until they end; ${named}`, async (t) => {
    const errors = new Inbox<unknown>()
    const started = new Inbox<string>()
    const ending = new Map<string, ReturnType<typeof deferred<void>>>()
    const connections: Connection[] = []
    const gone = new Inbox<void>()
    const { server, target } = await serveIn(
      t,
      mode,
      {
        crash: (text) => {
          const end = deferred()
          ending.set(text, end)
          started.push(text)
          return end.promise.then(() => text)
        },
      },
      {
        maxBufferedBytes: 2_500_000,
        onError: errors.push,
        onConnect: (connection) => void connections.push(connection),
        onDisconnect: () => gone.push(),
      },
    )
    const held = (): number => server.stats().inflation.held
    const ask = (text: string): Buffer =>
      compressedFrame(Buffer.concat([thriftMessage('crash', { body: news(text) }), Buffer.alloc(999_000)]))
    const one = thriftMessage('crash', { body: news('a') }).length + 999_000
    const peer = await connectPeer(t, target)
    await peer.write(Buffer.concat([ask('a'), ask('b')]))
    await started.reach(2)
    t.is(held(), 2 * one)
    // One more, of another connection: it is that which closes.
    const other = await connectPeer(t, target)
    await other.write(ask('c'))
    t.deepEqual(await other.readToEnd(), Buffer.alloc(0))
    t.is(codeOf(await errors.take()), 'ERR_BUFFER_LIMIT')
    await gone.reach(1)
    t.is(held(), 2 * one)
    // A call that succeeds, and one that fails.
    ending.get('a')?.resolve()
    await peer.read((await peer.read(4)).readUInt32BE())
    t.is(held(), one)
    ending.get('b')?.reject(new Error('no'))
    await peer.read((await peer.read(4)).readUInt32BE())
    t.is(held(), 0)
    // One that never ends, and whose connection does.
    await peer.write(Buffer.concat([ask('d'), ask('e')]))
    await started.reach(4)
    t.is(held(), 2 * one)
    connections[0]?.destroy()
    await gone.reach(2)
    while (held() > 0) await nextTurn()
    const last = await connectPeer(t, target)
    await last.write(Buffer.concat([ask('f'), ask('g')]))
    await started.reach(6)
    // It ends all the same: nothing is given back twice.
    ending.get('d')?.resolve()
    ending.get('e')?.resolve()
    for (let turn = 0; turn < 10; turn += 1) await nextTurn()
    t.is(held(), 2 * one)
    ending.get('f')?.resolve()
    ending.get('g')?.resolve()
    for (let reply = 0; reply < 2; reply += 1) await last.read((await last.read(4)).readUInt32BE())
    t.is(held(), 0)
    t.is(server.stats().inflation.waiting, 0)
  })

  test(`thrift theader: a client bounds what replies become; ${named}`, async (t) => {
    const replies: ((message: Buffer, sequence: number) => Buffer)[] = [
      (message, sequence) => compressedFrame(message, { sequence }),
      (message, sequence) => compressedFrame(Buffer.concat([message, Buffer.alloc(900_000)]), { sequence }),
      (message, sequence) => compressedFrame(Buffer.concat([message, Buffer.alloc(3 * MiB)]), { sequence }),
      (message, sequence) => compressedFrame(message, { sequence, times: 2 }),
      (message, sequence) => compressedFrame(message, { sequence }),
    ]
    const answer = (request: Buffer): Buffer | undefined => {
      const sequence = request.readInt32BE(4)
      const message = thriftMessage('ping', { type: 2, id: sequence })
      return replies.shift()?.(message, sequence).subarray(4)
    }
    const server = createServer({ framing: lengthField({ size: 4 }) }, answer)
    t.teardown(() => server.close({ timeout: 0 }))
    const path = socketPath(t)
    await server.listen(mode.socket === 'unix' ? { path } : { host: '127.0.0.1', port: 0 })
    const target = mode.socket === 'unix' ? { path } : { host: '127.0.0.1', port: portOf(server) }
    const client = createThriftClient<InteropClient>(Interop, target, {
      transport: 'theader',
      connections: 1,
      pollers: mode.pollers,
    })
    t.teardown(() => client.close({ timeout: 0 }))
    await client.service.ping()
    await client.service.ping()
    const bomb = await rejection(client.service.ping())
    t.is(codeOf(bomb), 'ERR_INFLATED_TOO_LARGE')
    t.regex((bomb as Error).message, /maxInflationRatio, 100 times/)
    const nested = await rejection(client.service.ping())
    t.true(nested instanceof TApplicationException)
    t.like(nested, { type: INVALID_TRANSFORM })
    await client.service.ping()
    t.like(client.stats().inflation, { held: 0, waiting: 0 })
    t.true(client.stats().inflation.inflated > 900_000)
  })

  test(`thrift theader: what middleware makes of a call holds no inflated reply when it is over; ${named}`, async (t) => {
    const answer = (request: Buffer): Buffer => {
      const sequence = request.readInt32BE(4)
      return compressedFrame(thriftMessage('ping', { type: 2, id: sequence }), { sequence }).subarray(4)
    }
    const server = createServer({ framing: lengthField({ size: 4 }) }, answer)
    t.teardown(() => server.close({ timeout: 0 }))
    const path = socketPath(t)
    await server.listen(mode.socket === 'unix' ? { path } : { host: '127.0.0.1', port: 0 })
    const target = mode.socket === 'unix' ? { path } : { host: '127.0.0.1', port: portOf(server) }
    for (const remade of [
      (call: object) => call,
      (call: object) => ({ ...call }),
      (call: object) => Object.create(call) as object,
      (call: object) => new Proxy(call, {}),
    ]) {
      const client = createThriftClient<InteropClient>(Interop, target, {
        transport: 'theader',
        pollers: mode.pollers,
        middleware: [(next) => (call) => next(remade(call) as typeof call)],
      })
      t.teardown(() => client.close({ timeout: 0 }))
      for (let call = 0; call < 3; call += 1) await client.service.ping()
      t.like(client.stats().inflation, { held: 0, waiting: 0 })
      t.true(client.stats().inflation.inflated > 0)
      t.is(codeOf(await rejection(client.withOptions({ deadline: 1 }).ping())), 'ERR_REQUEST_TIMEOUT')
    }
  })
}

/** What Node.js 22 and later have. */
interface Transferable {
  transfer?(): unknown
}

/** A call of `ping` of so many bytes in all. */
function exactly(length: number): Buffer {
  return pingWithZeros(length - thriftMessage('ping').length)
}

/** The same of bytes that zlib makes smaller by half at the most. */
function incompressible(length: number): Buffer {
  const bytes = exactly(length)
  let state = 1
  for (let index = thriftMessage('ping').length; index < length; index += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes[index] = state >>> 24
  }
  return bytes
}

test('thrift theader: a client whose buffers are full refuses a reply, and takes the next', async (t) => {
  const lengths = [50_000, 200_000, 50_000]
  const { port } = await serve(t, {}, (request) => {
    const sequence = request.readInt32BE(4)
    const message = thriftMessage('ping', { type: 2, id: sequence })
    const zeros = Buffer.alloc(lengths.shift() ?? 0)
    return compressedFrame(Buffer.concat([message, zeros]), { sequence }).subarray(4)
  })
  for (const kind of ['mux', 'pool'] as const) {
    lengths.splice(0, 3, 50_000, 200_000, 50_000)
    const client = thriftClient(t, port, {
      transport: 'theader',
      kind,
      connections: 1,
      maxBufferedBytes: 100_000,
    })
    await client.service.ping()
    const refused = await rejection(client.service.ping())
    t.is(codeOf(refused), 'ERR_BUFFER_LIMIT')
    t.true((refused as NetpollError).sent)
    await client.service.ping()
    t.like(client.stats().inflation, { held: 0, waiting: 0 })
  }
})

test('thrift theader: with maxInflatedLength 0, or no room at all, no compressed message is taken', async (t) => {
  const options: readonly [ThriftServerOptions, string][] = [
    [{ maxInflatedLength: 0 }, 'ERR_INFLATED_TOO_LARGE'],
    [{ maxBufferedBytes: 0 }, 'ERR_BUFFER_LIMIT'],
  ]
  for (const [limits, code] of options) {
    const errors = new Inbox<unknown>()
    const { port } = await serveThrift(t, undefined, { ...limits, onError: errors.push })
    const peer = await connectPeer(t, { port })
    await peer.write(compressedFrame(thriftMessage('ping')))
    t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
    t.is(codeOf(await errors.take()), code)
  }
})

test('thrift theader: with an infinite ratio only maxInflatedLength counts', async (t) => {
  const { port } = await serveThrift(t, undefined, { maxInflationRatio: Infinity })
  const peer = await connectPeer(t, { port })
  await peer.write(compressedFrame(exactly(4 * MiB)))
  t.true((await peer.read(4)).readUInt32BE() > 0)
})

test('thrift theader: what is no message once it is inflated closes its connection', async (t) => {
  const errors = new Inbox<unknown>()
  const { port, server } = await serveThrift(t, undefined, { onError: errors.push })
  const whole = deflateSync(Buffer.alloc(300_000, 'nothing of Thrift'))
  const payloads = [whole, whole.subarray(0, -2), Buffer.from('none'), Buffer.alloc(0), deflateSync('')]
  for (const payload of payloads) {
    const bytes = compressedFrame(Buffer.alloc(0)).subarray(4)
    const header = bytes.subarray(0, 10 + 4 * bytes.readUInt16BE(8))
    const peer = await connectPeer(t, { port })
    await peer.write(frame(Buffer.concat([header, payload])))
    t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
    t.true((await errors.take()) instanceof Error)
  }
  t.like(server.stats().inflation, { held: 0, waiting: 0 })
})

test('thrift theader: handlers of compressed messages run in the context of listen', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const seen = new Inbox<string | undefined>()
  const handler = {
    tell: (text: string) => {
      seen.push(storage.getStore())
      storage.enterWith(text)
    },
  }
  const { port } = await storage.run('listen', () => serveThrift(t, handler))
  const peer = await connectPeer(t, { port })
  const messages = [tell('a', 100_000), tell('b'), tell('c', 100_000), tell('d')].map((message) =>
    compressedFrame(message),
  )
  await peer.write(Buffer.concat([...messages, frame(tell('e'))]))
  await seen.reach(5)
  t.deepEqual(seen.all, ['listen', 'listen', 'listen', 'listen', 'listen'])
})

test('thrift theader: messages that wait stay as they are when a handler transfers their memory away', async (t) => {
  const handled = new Inbox<string>()
  const { port } = await serveThrift(t, (call) => {
    const { buffer } = call.body.bytes
    return {
      tell: (text) => {
        handled.push(text)
        if (text === 'first') (buffer as Transferable).transfer?.()
      },
    }
  })
  const peer = await connectPeer(t, { port })
  const others = await Promise.all(Array.from({ length: 20 }, () => connectPeer(t, { port })))
  // All of it is there when the server reads.
  const writes = others.map((other, index) =>
    other.write(Buffer.concat([compressedFrame(tell(`${index}`, 900_000)), frame(tell(`after ${index}`))])),
  )
  await Promise.all([...writes, peer.write(frame(tell('first')))])
  await handled.reach(41)
  const expected = others.flatMap((_, index) => [`${index}`, `after ${index}`])
  t.deepEqual(handled.all.filter((text) => text !== 'first').sort(), expected.sort())
})

test('thrift theader: a compressed message of a connection that has gone starts no call', async (t) => {
  const handled: string[] = []
  const { port, server } = await serveThrift(t, { tell: (text) => void handled.push(text), ping: () => {} })
  const peers = await Promise.all(Array.from({ length: 10 }, () => connectPeer(t, { port })))
  await Promise.all(peers.map((peer) => peer.write(compressedFrame(tell('x', 900_000)))))
  await server.close({ timeout: 0 })
  while (server.stats().inflation.waiting > 0) await nextTurn()
  t.is(server.stats().inflation.held, 0)
  t.true(handled.length <= 10)
})

test('thrift: a header has at most 1,000 entries of metadata', async (t) => {
  const errors = new Inbox<unknown>()
  const { port } = await serveThrift(t, undefined, { onError: errors.push })
  for (const transport of ['theader', 'ttheader'] as const) {
    const client = thriftClient(t, port, { transport, kind: 'pool', connections: 1 })
    const metadata = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`name${index}`, '']))
    await client.withOptions({ metadata: metadata(1_000) }).ping()
    const numbered = transport === 'ttheader' ? { 'int:3': 'x' } : {}
    await rejection(client.withOptions({ metadata: { ...metadata(1_001), ...numbered } }).ping())
    const error = await errors.take()
    t.true(error instanceof TProtocolException)
    t.like(error, { type: SIZE_LIMIT })
  }
})

/** What some bytes of each of 200 peers may become, and how many of them have ended before the honest calls are answered. */
const bombs = ['nested', 'single', 'small', 'tiny', 'middle', 'fields', 'zeros', 'zeros-reply'] as const

for (const kind of bombs) {
  test.serial(
    `thrift: bombs (${kind}) cost at most 64 MiB, and honest calls beside them are served`,
    async (t) => {
      const { code, stdout, stderr } = await runFixture(t, 'thrift-bombs', { args: [kind] })
      t.deepEqual([code, stderr], [0, ''])
      const { grown, errors, held, before } = JSON.parse(stdout) as {
        readonly grown: number
        readonly errors: readonly string[]
        readonly held: number
        readonly before: readonly number[]
      }
      t.log(stdout)
      t.true(grown <= 64, `${grown} MiB`)
      t.is(held, 0)
      if (kind === 'single') t.regex(errors.join(), /maxInflationRatio/)
      if (kind.startsWith('zeros')) t.regex(errors.join(), /maxElements/)
      // The work of a bomb is not done before the honest calls that came behind all of them.
      if (kind === 'single' || kind === 'small' || kind === 'fields') {
        t.true(Math.max(...before) < 100, `${before} had ended`)
      }
    },
  )
}
