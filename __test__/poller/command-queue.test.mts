// Commands of a poller that goes in the midst of a task: none is written to it any more, and what they hold is let go.

import { createRequire } from 'node:module'

import test from 'ava'

const require = createRequire(import.meta.url)

interface Queue {
  command(operation: number, target: { readonly slot: number; readonly generation: number }): void
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
  readonly Operation: { readonly Acknowledge: number; readonly SendForeign: number }
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
