import { spawnSync } from 'node:child_process'

import test from 'ava'
import { Arena, arenaWords } from '../../dist/memory/arena.js'
import { adoptChunk } from '../../dist/memory/chunk.js'
import { Delimiter, type FramingRules, LengthField, streamRules, Varint } from '../../dist/framing/rules.js'
import { Operation } from '../../dist/native/protocol-numbers.js'
import { commandWords, CommandQueue } from '../../dist/poller/command-queue.js'
import type { ThreadMemory } from '../../dist/memory/thread-memory.js'
import { runFixture, socketPath } from '../support/system.mjs'

const lack = 'NetpollError ENOMEM -12 malloc'

/** What the fixture says of each scenario. */
function expected(pollers: number, threads: number): string[] {
  const goOn = 'others go on'
  const unsent = `call: ${lack} sent: false, ${goOn}, ${goOn}`
  const ends = (one: string, other: string): string => `${one}, ${other}`
  const frame = `frame: "\\u0000\\u0000\\u0000\\u0006before", ${goOn}, ${lack}, ${lack}`
  const direct = [`writeDirect: ${lack} sent: false, ${goOn}`, `told: ${lack}, ${ends(lack, 'in order')}`]
  const worker = [
    `worker: NetpollError ERR_CONN_CLOSED   sent: true, ${goOn}`,
    `told: ${lack}, ${ends('in order', 'in order')}`,
  ]
  const isWithWorkers = threads > 0
  const reports = 3 + (pollers > 0 ? 1 : 0) + (isWithWorkers ? 2 : 0)
  const endings = 6 + (pollers > 0 ? 2 : 0) + (isWithWorkers ? 3 : 0)
  return [
    ...Array<string>(4).fill(unsent),
    `send: ${lack}, ${goOn}`,
    `writeBinary: ${lack}, ${goOn}`,
    `malloc: ${lack}, ${goOn}`,
    `allocate: ${lack}, ${goOn}`,
    'empty writer: 0',
    `queued: ${lack} sent: false, done`,
    `duplex: ${lack}, ${goOn}`,
    'told: NetpollError ERR_CONN_CLOSED  , in order',
    ...Array<string>(3).fill(`reader: ${lack}, true`),
    `writeDirect of shared memory: ${lack}`,
    ...(pollers > 0 ? direct : []),
    `reply: NetpollError ERR_CONN_CLOSED   sent: true, ${goOn}`,
    `told: ${lack}, ${ends('in order', 'in order')}`,
    ...Array<string>(isWithWorkers ? 2 : 1).fill(frame),
    `dialed: ${lack} sent: true, ${goOn}`,
    `told: ${lack}, ${lack}`,
    ...(isWithWorkers ? worker : []),
    `left: ${reports}, ${endings}, 3`,
  ]
}

// Only Linux can take memory away from a process that runs.
const isLimitable = spawnSync('prlimit', ['--version']).status === 0
const withinLimit = isLimitable ? test.serial : test.serial.skip

for (const [pollers, transport, threads] of [
  [0, 'tcp', 1],
  [0, 'unix', 0],
  [1, 'tcp', 0],
  [1, 'unix', 2],
  [2, 'tcp', 3],
  [2, 'unix', 0],
] as const) {
  withinLimit(
    `a lack of memory costs what needed it: ${pollers} pollers, ${transport}, ${threads} workers`,
    async (t) => {
      const args = [String(pollers), transport, String(threads)]
      // The C library gives freed memory back at once, so that V8 finds as much as there was.
      const env = {
        NETPOLL_TEST_PATH: socketPath(t),
        MALLOC_MMAP_THRESHOLD_: '131072',
        MALLOC_ARENA_MAX: '2',
      }
      const { code, stdout, stderr } = await runFixture(t, 'out-of-memory', { args, env })
      t.is(stderr, '')
      t.deepEqual(stdout.trimEnd().split('\n'), expected(pollers, threads))
      t.is(code, 0)
    },
  )
}

const arenaSize = 256 * 1024
const target = { slot: 3, generation: 5 }

/** The memory of a thread, of which so many chunks can be lent. */
class Lender {
  readonly lent: Buffer[] = []
  readonly commands = new Int32Array(commandWords)
  readonly received: Buffer
  readonly arena: Arena
  readonly commandQueue: CommandQueue
  /** What has left, as the core would send it. */
  sent = ''
  most = Number.POSITIVE_INFINITY

  constructor() {
    const buffer = new ArrayBuffer(arenaSize)
    adoptChunk(1_000, buffer)
    this.received = Buffer.from(buffer)
    const native = {
      lendChunk: (bytes: number) => {
        if (this.lent.length >= this.most) return null
        const chunk = Buffer.alloc(Math.max(bytes, arenaSize))
        return { handle: this.lent.push(chunk) - 1, buffer: chunk.buffer }
      },
    }
    this.arena = new Arena(new Int32Array(arenaWords), native as unknown as ThreadMemory['native'], () => {})
    const shared = { arena: this.arena, chunks: [], native } as unknown as ThreadMemory
    this.commandQueue = new CommandQueue(this.commands, { carryOut: () => this.carryOut() }, shared)
  }

  get count(): number {
    return this.commands[0] as number
  }

  carryOut(): void {
    for (let at = 1; at < 1 + 6 * this.count; at += 6) {
      const [handle, start, length] = [...this.commands.subarray(at + 3, at + 6)] as [number, number, number]
      const chunk = handle === 1_000 ? this.received : (this.lent[handle] as Buffer)
      this.sent += chunk.toString('latin1', start, start + length)
    }
    this.commands[0] = 0
  }
}

type Sent = { readonly payload: (lender: Lender, framing: FramingRules) => unknown; readonly text: string }

const part = (letter: string, length: number): string => letter.repeat(length)
const received = (lender: Lender, letter: string, length: number): Buffer =>
  lender.received.subarray(1_000, 1_000 + length).fill(letter)

const payloads: readonly Sent[] = [
  { payload: () => part('s', 100), text: part('s', 100) },
  { payload: () => part('l', 400_000), text: part('l', 400_000) },
  { payload: () => Buffer.alloc(200_000, 'b'), text: part('b', 200_000) },
  { payload: (lender) => received(lender, 'r', 1_000), text: part('r', 1_000) },
  {
    payload: (lender, framing) => lender.arena.allocate(2_000, framing).fill('a'),
    text: part('a', 2_000),
  },
  {
    payload: (lender) => ['1', received(lender, 'r', 5_000), part('2', 90_000)],
    text: `1${part('r', 5_000)}${part('2', 90_000)}`,
  },
  {
    payload: () => [part('1', 200_000), '2', Buffer.alloc(300_000, '3'), part('4', 100_000), '5'],
    text: `${part('1', 200_000)}2${part('3', 300_000)}${part('4', 100_000)}5`,
  },
  {
    payload: (lender, framing) => {
      const own = lender.arena.allocate(3_000, framing).fill('a')
      return [own, part('1', 300_000), received(lender, 'r', 2_000), own]
    },
    text: `${part('a', 3_000)}${part('1', 300_000)}${part('r', 2_000)}${part('a', 3_000)}`,
  },
]

const framings: readonly (readonly [string, FramingRules, (text: string) => string])[] = [
  ['lengthField', new LengthField({ size: 4 }), (text) => `${header(text.length)}${text}`],
  ['varint', new Varint({}), (text) => `${varintOf(text.length)}${text}`],
  ['delimiter', new Delimiter(Buffer.from('\r\n'), {}), (text) => `${text}\r\n`],
  ['stream', streamRules, (text) => text],
]

function header(length: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  return bytes.toString('latin1')
}

function varintOf(length: number): string {
  const byte = String.fromCharCode(length > 127 ? (length & 127) | 128 : length)
  return length > 127 ? byte + varintOf(length >> 7) : byte
}

for (const [name, framing, framed] of framings) {
  test(`whichever chunk cannot be lent, no part of a message is added: ${name}`, (t) => {
    // Almost full, empty, or with room for some of it.
    for (const used of [0, 1_000, 60_000, 200_000, arenaSize - 1_500, arenaSize - 3]) {
      for (const [index, { payload, text }] of payloads.entries()) {
        const about = `${used} bytes used, payload ${index}`
        const lender = new Lender()
        lender.arena.take(1)
        if (used > 1) lender.arena.take(used - 1)
        lender.most = 2
        const given = payload(lender, framing)
        const send = (): number =>
          lender.commandQueue.message(
            Operation.Reply,
            target,
            framing,
            given as Parameters<CommandQueue['message']>[3],
          )
        let refusals = 0
        while (lender.count === 0) {
          lender.most = lender.lent.length + refusals
          try {
            t.is(send(), framed(text).length, about)
          } catch (error) {
            if ((error as { readonly code?: unknown }).code !== 'ENOMEM') throw error
            t.is(lender.count, 0, about)
            refusals += 1
          }
        }
        t.true(refusals <= 4, about)
        lender.carryOut()
        t.true(lender.sent === framed(text), about)
      }
    }
  })
}
