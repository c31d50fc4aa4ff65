// Writes random words where the add-on looks for commands, beside a server and dialers that work. Inputs come from stdin, as a
// length of four bytes and as many bytes; each is answered by a line.
import { createRequire } from 'node:module'

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

process.on('uncaughtException', (error) => {
  process.stdout.write(`${String(error?.stack ?? error).replaceAll('\n', ' ')}\n`, () => process.exit(1))
})

const operations = 17
const loopsHeader = 3
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** Choices that the bytes of an input make. */
class Choices {
  #bytes
  #at = 0

  constructor(bytes) {
    this.#bytes = bytes
  }

  get areUsedUp() {
    return this.#at >= this.#bytes.length
  }

  below(bound) {
    const byte = this.#bytes[this.#at] ?? 0
    this.#at += 1
    return byte % bound
  }

  /** Any word, but mostly one of those that mean something. */
  word(likely) {
    if (this.below(8) < 6) return likely
    const kind = this.below(6)
    if (kind < 4) return [0, -1, 2 ** 31 - 1, -(2 ** 31)][kind]
    let word = 0
    for (let index = 0; index < 4; index += 1) word = (word << 8) | this.below(256)
    return word
  }
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
    commands[at] = choices.word(choices.below(operations))
    commands[at + 1] = choices.word(connection.slot ?? choices.below(8))
    commands[at + 2] = choices.word(connection.generation ?? choices.below(4))
    commands[at + 3] = choices.word(choices.below(6))
    commands[at + 4] = choices.word(choices.below(200))
    commands[at + 5] = choices.word(choices.below(200))
  }
  commands[0] = choices.below(16) === 15 ? choices.word(count) : count
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

/** Inputs, one after the other. */
async function* inputs() {
  let rest = Buffer.alloc(0)
  for await (const chunk of process.stdin) {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
      const end = 4 + rest.readUInt32BE()
      yield rest.subarray(4, end)
      rest = rest.subarray(end)
    }
  }
}

/** Which only an input that hangs reaches. */
const patience = 30_000

const targets = await servers()
for await (const input of inputs()) {
  const hangs = setTimeout(() => {
    throw new Error('a connection never ends')
  }, patience)
  await run(input, targets)
  clearTimeout(hangs)
  globalThis.gc({ type: 'minor' })
  process.stdout.write('done\n')
}
process.exit()
