// The processes of a soak, and how the monitor speaks with them.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * glibc keeps what threads have freed, in up to eight arenas for each processor. In a client that held 40 MiB of malloc's memory
 * all along, 110 MiB more were free after five minutes. With one arena, which gives back what is large, resident memory says
 * what is held.
 */
const env = {
  ...process.env,
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
}

const started = new Set()
process.on('exit', () => {
  for (const child of started) child.kill('SIGKILL')
})

/** A process that answers orders, one after the other. */
export class Child {
  #process
  #waiting = new Map()
  #onFault
  #doubts = []
  #isOver = false

  /** Starts `file` with so many descriptors at most. `onFault` is told of each fault that it reports, or dies of. */
  constructor(name, file, args, { descriptors, onFault }) {
    this.name = name
    this.#onFault = (text) => onFault(`${name}: ${text}`)
    const path = fileURLToPath(new URL(file, import.meta.url))
    // The shell sets the limit, and becomes the program.
    const script = `ulimit -n ${descriptors} && exec "$0" "$@"`
    const program = ['-c', script, process.execPath, '--expose-gc', path, ...args]
    this.#process = spawn('/bin/sh', program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env })
    started.add(this.#process)
    this.#process.on('message', (message) => this.#hear(message))
    this.#process.on('exit', (status, signal) => this.#end(status ?? signal))
    this.ready = this.#answer('ready')
  }

  #hear({ answer, value, fault, doubt }) {
    if (fault !== undefined) this.#onFault(fault)
    if (doubt !== undefined) this.#doubts.push(doubt)
    this.#waiting.get(answer)?.(value)
    this.#waiting.delete(answer)
  }

  #end(how) {
    started.delete(this.#process)
    if (!this.#isOver) this.#onFault(`it has ended by itself (${how})`)
    for (const resolve of this.#waiting.values()) resolve(undefined)
  }

  #answer(order) {
    return new Promise((resolve) => this.#waiting.set(order, resolve))
  }

  /** Has an order carried out, and resolves to its answer; to `undefined` where the process is gone. */
  ask(order, argument) {
    if (!this.#process.connected) return Promise.resolve(undefined)
    const answer = this.#answer(order)
    this.#process.send({ order, argument })
    return answer
  }

  /** What it has reported that may be a fault, since this was asked before. */
  takeDoubts() {
    return this.#doubts.splice(0)
  }

  stop() {
    this.#isOver = true
    this.#process.kill('SIGKILL')
  }
}
