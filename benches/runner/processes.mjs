// Starts processes, pins them to a core, and leaves none behind.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'

const START_TIMEOUT = 15_000
const STOP_TIMEOUT = 5_000

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/** @type {Set<ChildProcess>} */
const running = new Set()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const [signal, number] of /** @type {const} */ ([
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
])) {
  process.once(signal, () => process.exit(128 + number))
}

/** Which core each side runs on; none where the system cannot pin. */
export const cores = chooseCores()

/** @returns {Record<Exclude<Place, 'unpinned'>, string> | undefined} */
function chooseCores() {
  if (process.platform !== 'linux' || spawnSync('taskset', ['--version']).error !== undefined)
    return undefined
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  const allowed = list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
  const [server, client] = allowed
  if (server === undefined || client === undefined) return undefined
  return { server: String(server), client: String(client), all: `${server},${client}` }
}

/**
 * @param {readonly string[]} command
 * @param {Place} place
 * @param {import('node:child_process').StdioOptions} stdio
 * @param {string} [build] A folder with another build of this package.
 */
function start(command, place, stdio, build) {
  // `taskset` becomes the command, so the process id is the command's own.
  const pinned =
    cores === undefined || place === 'unpinned' ? command : ['taskset', '-c', cores[place], ...command]
  const [program = '', ...words] = pinned
  const env = build === undefined ? process.env : { ...process.env, NETPOLL_BUILD: build }
  const child = spawn(program, words, { stdio, env })
  running.add(child)
  child.once('exit', () => running.delete(child))
  child.once('error', () => running.delete(child))
  return child
}

/** A process that lives until its standard input ends, and prints lines. */
export class Service {
  #child
  #name
  /** @type {AsyncIterator<string>} */
  #lines

  /**
   * @param {string} name
   * @param {readonly string[]} command
   * @param {Place} place
   * @param {string} [build] A folder with another build of this package.
   */
  constructor(name, command, place, build) {
    this.#name = name
    this.#child = start(command, place, ['pipe', 'pipe', 'inherit'], build)
    this.#child.on('error', () => {})
    // A write to one that has ended is noticed by the missing answer.
    this.#child.stdin?.on('error', () => {})
    const output = /** @type {import('node:stream').Readable} */ (this.#child.stdout)
    this.#lines = createInterface({ input: output })[Symbol.asyncIterator]()
  }

  get pid() {
    return /** @type {number} */ (this.#child.pid)
  }

  /** Waits for a line that begins with `start` and returns the rest of it. @param {string} start */
  async expect(start) {
    const cancellation = new AbortController()
    const timeout = setTimeout(START_TIMEOUT, undefined, { signal: cancellation.signal }).then(
      () => ({ done: true, value: undefined }),
      () => ({ done: true, value: undefined }),
    )
    try {
      for (;;) {
        const { done, value } = await Promise.race([this.#lines.next(), timeout])
        if (done || value === undefined) throw new Error(`${this.#name} did not say \`${start}\``)
        if (value.startsWith(start)) return value.slice(start.length).trim()
      }
    } finally {
      cancellation.abort()
    }
  }

  /** @param {string} line */
  say(line) {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Whether it runs only while nothing else wants its core, where the system knows that. @param {'idle' | 'other'} policy */
  schedule(policy) {
    if (cores === undefined) return
    spawnSync('chrt', [`--${policy}`, '--all-tasks', '--pid', '0', String(this.pid)])
  }

  /** Ends its input, and returns the rest of the line that begins with `start`, which is its last. @param {string} start */
  async conclude(start) {
    this.schedule('other')
    this.#child.stdin?.end()
    const rest = await this.expect(start)
    await this.stop()
    return rest
  }

  /** Ends its input and waits for it to end, or ends it. */
  async stop() {
    if (!running.has(this.#child)) return
    const ended = once(this.#child, 'exit')
    this.#child.stdin?.end()
    const impatience = globalThis.setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT)
    await ended
    clearTimeout(impatience)
  }
}

/**
 * Runs a command to its end.
 *
 * @param {readonly string[]} command
 * @param {Place} [place]
 * @param {string} [build] A folder with another build of this package.
 * @returns {Promise<{ code: number | null, output: string, errors: string }>}
 */
export async function runToEnd(command, place = 'client', build = undefined) {
  const child = start(command, place, ['ignore', 'pipe', 'pipe'], build)
  let output = ''
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    errors += text
  })
  const [code] = await once(child, 'close')
  return { code, output, errors: errors.trim() }
}

/** Resident memory of a process, in bytes. @param {number} pid */
export function residentMemory(pid) {
  if (process.platform === 'linux') {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    return Number(/^Rss:\s*(\d+) kB$/m.exec(text)?.[1]) * 1024
  }
  return Number(spawnSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }).stdout) * 1024
}

/**
 * Processor time of a process since it started, over the threads that it has, in seconds. Not known elsewhere
 * than on Linux.
 *
 * @param {number} pid
 */
export function processorTime(pid) {
  if (process.platform !== 'linux') return Number.NaN
  const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  )
  return nanoseconds.reduce((sum, time) => sum + time, 0) / 1e9
}
