// Commands of a poller that goes in the midst of a task: none is written to it any more, and what they hold is let go.

import { createRequire } from 'node:module'

import test from 'ava'

import { type FramingRules, LengthField } from '../../dist/framing/rules.js'

const require = createRequire(import.meta.url)

interface Queue {
  command(operation: number, target: { readonly slot: number; readonly generation: number }): void
  message(
    last: number,
    target: { readonly slot: number; readonly generation: number },
    framing: FramingRules,
    payload: Uint8Array,
  ): number
  close(): void
}

interface Module {
  readonly commandWords: number
  readonly CommandQueue: new (
    commands: Int32Array,
    native: { readonly carryOut: () => void },
    memory: object,
  ) => Queue
}

const { CommandQueue, commandWords } = require('../../dist/poller/command-queue.js') as Module
const { Operation } = require('../../dist/native/protocol-numbers.js') as {
  readonly Operation: { readonly Acknowledge: number; readonly Reply: number; readonly SendForeign: number }
}
const { adoptChunk } = require('../../dist/memory/chunk.js') as {
  readonly adoptChunk: (handle: number, buffer: ArrayBuffer) => object
}
const target = { slot: 1, generation: 1 }
const capacity = (commandWords - 1) / 6

/** A queue, how often the arena was told of commands, and how many buffers of users were let go. */
function queueOf(carryOut: (queue: Queue) => void): {
  queue: Queue
  commands: Int32Array
  seen: Record<string, number>
} {
  const seen = { commanded: 0, released: 0 }
  const commands = new Int32Array(commandWords)
  const memory = {
    arena: {
      commanded: () => {
        seen.commanded += 1
      },
    },
    native: {
      releaseForeign: () => {
        seen.released += 1
      },
    },
  }
  const queue: Queue = new CommandQueue(commands, { carryOut: () => carryOut(queue) }, memory)
  return { queue, commands, seen }
}

test('a queue that closes while its commands are carried out takes none, and neither does any other closed one', (t) => {
  const { queue, seen } = queueOf((one) => one.close())
  for (let count = 0; count < capacity; count += 1) queue.command(Operation.Acknowledge, target)
  queue.command(Operation.SendForeign, target)
  t.deepEqual(seen, { commanded: 1, released: 1 })

  const other = queueOf(() => t.fail('nothing is carried out'))
  other.queue.close()
  other.queue.command(Operation.SendForeign, target)
  t.deepEqual(other.seen, { commanded: 0, released: 1 })
})

test('a queue that is full goes on from its beginning once its commands are carried out', (t) => {
  const { queue, commands, seen } = queueOf(() => {
    commands[0] = 0
  })
  for (let count = 0; count <= capacity; count += 1) queue.command(Operation.Acknowledge, target)
  t.is(commands[0], 1)
  t.deepEqual(seen, { commanded: 2, released: 0 })
})

const framing = new LengthField({ size: 4 })

/** A queue with an arena that has room for everything, and the handles that its commands have named. */
function copyingQueue(): { queue: Queue; lastHandle: () => number } {
  const commands = new Int32Array(commandWords)
  const arena = {
    memory: Buffer.alloc(2 ** 17),
    handle: 0,
    take: () => 0,
    handOver: () => false,
    commanded: () => {},
    hasRoom: () => true,
    garbage: { add: () => {} },
  }
  const queue: Queue = new CommandQueue(
    commands,
    {
      carryOut: () => {
        commands[0] = 0
      },
    },
    { arena, chunks: [] },
  )
  return { queue, lastHandle: () => commands[1 + ((commands[0] as number) - 1) * 6 + 3] as number }
}

/** Memory of `length` bytes that counts how often it is asked for its chunk. */
function countingMemory(length: number): { bytes: Uint8Array; asked: () => number } {
  const known = new ArrayBuffer(1)
  adoptChunk(1, known)
  const [handle] = Object.getOwnPropertySymbols(known) as [symbol]
  const buffer = new ArrayBuffer(length)
  let asked = 0
  Object.defineProperty(buffer, handle, {
    get: () => {
      asked += 1
    },
  })
  return { bytes: new Uint8Array(buffer), asked: () => asked }
}

for (const length of [257, 1024, 4096]) {
  test(`replies of ${length} bytes in no chunk are seldom asked for their memory`, (t) => {
    const { queue, lastHandle } = copyingQueue()
    const { bytes, asked } = countingMemory(length)
    const reply = (): number => queue.message(Operation.Reply, target, framing, bytes)
    for (let count = 0; count < 64; count += 1) reply()
    t.is(asked(), 64)
    for (let count = 0; count < 1600; count += 1) {
      t.is(reply(), length + 4)
      t.is(lastHandle(), 0)
    }
    t.true(asked() <= 64 + 101, `asked ${asked()} times`)
  })
}

test('large replies are asked for their memory each time', (t) => {
  const { queue } = copyingQueue()
  const { bytes, asked } = countingMemory(4097)
  for (let count = 0; count < 1000; count += 1) queue.message(Operation.Reply, target, framing, bytes)
  t.is(asked(), 1000)
})

test('replies in a chunk are sent from there again soon after many that lay in none, and large ones at once', (t) => {
  const { queue, lastHandle } = copyingQueue()
  const handle = 7
  const buffer = new ArrayBuffer(65_536)
  adoptChunk(handle, buffer)
  const reply = (payload: Uint8Array): number => {
    queue.message(Operation.Reply, target, framing, payload)
    return lastHandle()
  }
  const strange = new Uint8Array(1024)
  for (let round = 0; round < 20; round += 1) {
    for (let count = 0; count < 100 + round; count += 1) t.is(reply(strange), 0)
    t.is(reply(new Uint8Array(buffer, 4, 60_000)), handle)
    // Found by then, however many of those before were asked.
    let copied = 0
    while (reply(new Uint8Array(buffer, 4, 1024)) !== handle) copied += 1
    t.true(copied <= 15, `copied ${copied}`)
    for (let count = 0; count < 100; count += 1) t.is(reply(new Uint8Array(buffer, 4, 1024)), handle)
    t.is(reply(strange), 0)
    t.is(reply(new Uint8Array(buffer, 4, 1024)), handle)
  }
})
