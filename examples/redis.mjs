// A tiny Redis in memory: `node examples/redis.mjs 6380`, then `redis-cli -p 6380 set name value`, or
// `redis-benchmark -p 6380 -t set,get -P 16`.

import { fileURLToPath } from 'node:url'
import { createServer } from 'netpoll'

const [STAR, DOLLAR, CR] = Buffer.from('*$\r')
/** Most bytes of a key or value. */
const LONGEST = 1_000_000

/** @type {Map<string, string>} Keys and values are bytes, as characters of Latin-1. */
const values = new Map()

/** @param {string | undefined} text */
const bulk = (text) => (text === undefined ? '$-1\r\n' : `$${text.length}\r\n${text}\r\n`)

/** @type {Map<string, (key: string, value: string) => string>} */
const commands = new Map(
  Object.entries({
    PING: () => '+PONG\r\n',
    GET: (key) => bulk(values.get(key)),
    SET(key, value) {
      values.set(key, value)
      return '+OK\r\n'
    },
    DEL: (key) => `:${Number(values.delete(key))}\r\n`,
    EXISTS: (key) => `:${Number(values.has(key))}\r\n`,
    INCR(key) {
      const next = String(Number(values.get(key) ?? 0) + 1)
      values.set(key, next)
      return `:${next}\r\n`
    },
    CONFIG: () => '*0\r\n',
    COMMAND: () => '*0\r\n',
  }),
)

/** The number that {@link readNumber} has read. */
let number = 0

/**
 * Reads the number behind `*` or `$`; gives where its line ends, or −1 when it is not there yet.
 *
 * @param {Buffer} bytes
 * @param {number} at
 * @param {number} mark
 */
function readNumber(bytes, at, mark) {
  if (at < bytes.length && bytes[at] !== mark) throw new Error('not the protocol of Redis')
  number = 0
  for (let place = at + 1; place + 1 < bytes.length; place += 1) {
    if (bytes[place] === CR) return place + 2
    const digit = bytes[place] - 48
    number = number * 10 + digit
    if (digit < 0 || digit > 9 || number > LONGEST) throw new Error('not a number of the protocol of Redis')
  }
  return -1
}

/**
 * Runs the commands that `bytes` has whole, has each answered, and tells how many bytes they took.
 *
 * @param {Buffer} bytes
 * @param {(answer: string) => void} answer
 */
export function execute(bytes, answer) {
  for (let done = 0; ; ) {
    let at = readNumber(bytes, done, STAR)
    const count = number
    let name = ''
    let key = ''
    let value = ''
    for (let index = 0; at >= 0 && index < count; index += 1) {
      const start = readNumber(bytes, at, DOLLAR)
      const end = start + number
      at = start < 0 || end + 2 > bytes.length ? -1 : end + 2
      if (at < 0) return done
      if (index === 0) name = bytes.toString('latin1', start, end)
      else if (index === 1) key = bytes.toString('latin1', start, end)
      else if (index === 2) value = bytes.toString('latin1', start, end)
    }
    if (at < 0) return done
    done = at
    const command = commands.get(name) ?? commands.get(name.toUpperCase())
    answer(command?.(key, value) ?? '-ERR unknown command\r\n')
  }
}

/**
 * Serves on a port.
 *
 * @param {number} port
 */
export async function serve(port) {
  const server = createServer({}, ({ reader, writer }) => {
    let answers = ''
    const done = execute(reader.peek(reader.length), (answer) => {
      answers += answer
    })
    reader.skip(done)
    writer.malloc(answers.length).write(answers, 'latin1')
    return writer.flush()
  })
  return server.listen({ host: '127.0.0.1', port })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await serve(Number(process.argv[2] ?? 6380))
  const { port } = /** @type {import('netpoll').TcpAddress} */ (server.address())
  console.log(`listening on port ${port}`)
  process.once('SIGTERM', () => server.close({ timeout: 1000 }))
}
