// Writes random words where the add-on looks for commands, beside a server and dialers that work.
import { createRequire } from 'node:module'

import { Choices, serve } from './inputs.mjs'

const require = createRequire(import.meta.url)
const binding = require('../binding/index.js')

/** The words that the package shares with the add-on. */
const loops = []
let arena
const { EventLoop, Memory } = binding
binding.EventLoop = class extends EventLoop {
  constructor(placement, memory, batch, commands, ...others) {
    super(placement, memory, batch, commands, ...others)
    loops.push({ native: this, commands })
  }
}
binding.Memory = class extends Memory {
  constructor(words, ...others) {
    super(words, ...others)
    arena = words
  }
}

const { createServer, Dialer, lengthField } = await import('../dist/index.mjs')

const operations = 17
const loopsHeader = 3
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** Any word, but mostly one of those that mean something. */
function wordOf(choices, likely) {
  if (choices.below(8) < 6) return likely
  const kind = choices.below(6)
  if (kind < 4) return [0, -1, 2 ** 31 - 1, -(2 ** 31)][kind]
  let word = 0
  for (let index = 0; index < 4; index += 1) word = (word << 8) | choices.below(256)
  return word
}

const options = { framing: lengthField({ size: 4 }), onError: () => {}, closeTimeout: 100 }

async function servers() {
  const all = []
  for (const pollers of [0, 1]) {
    const server = createServer({ ...options, pollers }, (request) => request)
    await server.listen({ host: '127.0.0.1', port: 0 })
    all.push({ target: { host: '127.0.0.1', port: server.address().port }, pollers })
  }
  return all
}

/** One round of commands for one loop. */
function command({ native, commands }, choices, connections) {
  // What the package has written itself comes first.
  native.carryOut()
  const count = 1 + choices.below(12)
  for (let index = 0, at = 1; index < count; index += 1, at += 6) {
    const connection = connections[choices.below(connections.length)]
    commands[at] = wordOf(choices, choices.below(operations))
    commands[at + 1] = wordOf(choices, connection.slot ?? choices.below(8))
    commands[at + 2] = wordOf(choices, connection.generation ?? choices.below(4))
    commands[at + 3] = wordOf(choices, choices.below(6))
    commands[at + 4] = wordOf(choices, choices.below(200))
    commands[at + 5] = wordOf(choices, choices.below(200))
  }
  commands[0] = choices.below(16) === 15 ? wordOf(choices, count) : count
  arena[loopsHeader] += 1
  if (choices.below(2) === 0) native.carryOut()
  else native.flush()
  if (commands[0] === 0) return
  // A number below zero is none to the add-on. The package never has one.
  commands[0] = 0
  arena[loopsHeader] -= 1
}

async function run(bytes, targets) {
  const choices = new Choices(bytes)
  const { target, pollers } = targets[choices.below(targets.length)]
  const dialer = new Dialer({ ...options, pollers, requestTimeout: 1_000, onRequest: () => {} })
  const connections = await Promise.all([0, 1].map(() => dialer.dial(target)))
  for (const connection of connections) connection.call('x'.repeat(choices.below(200))).catch(() => {})
  while (!choices.areUsedUp) {
    command(loops[choices.below(loops.length)], choices, connections)
    if (choices.below(2) === 0) await nextTurn()
  }
  await nextTurn()
  await Promise.all(
    connections.map((connection) => {
      connection.destroy()
      return connection.close()
    }),
  )
}

const targets = await servers()
await serve(async (input) => {
  await run(input, targets)
  globalThis.gc({ type: 'minor' })
  return false
})
