// One server under measurement, and the load client that drives it.

import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { BENCH_PROGRAM } from './built.mjs'
import { PEERS } from './peers.mjs'
import { residentMemory, runToEnd, Service } from './processes.mjs'

const directory = await mkdtemp(join(tmpdir(), 'netpoll-bench-'))
process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
let sockets = 0

/**
 * What `netpoll-bench client --json` prints.
 *
 * @typedef {object} Report
 * @property {number} seconds
 * @property {number} requests
 * @property {number} requestsPerSecond
 * @property {number} unsent
 * @property {{ mean: number, p50: number, p90: number, p99: number, p999: number, max: number }} latencyMicroseconds
 * @property {{ cpuShare: number }} client
 * @property {{ cpuShare: number | null, cpuMicrosecondsPerRequest: number | null,
 *   residentBytes: number | null, peakResidentBytes: number | null }} server
 * @property {readonly { kind: string, count: number }[]} errors
 */

/**
 * What `netpoll-bench transfer --json` prints.
 *
 * @typedef {object} TransferReport
 * @property {number} seconds
 * @property {number} bytes
 * @property {number} megabytesPerSecond
 * @property {{ cpuShare: number }} client
 * @property {{ cpuShare: number | null, cpuMillisecondsPerGibibyte: number | null,
 *   residentBytes: number | null, peakResidentBytes: number | null }} server
 */

/**
 * Messages on connections that stay.
 *
 * @typedef {object} Frames
 * @property {'frames'} protocol
 * @property {number} connections
 * @property {number} inFlight Requests at a time on each.
 * @property {number} size Bytes of payload.
 * @property {import('../servers/handler.mjs').Reply} [reply]
 * @property {boolean} [anyOrder] Whether replies may come in any order.
 * @property {number} [idle] Connections beside those that send nothing.
 */

/**
 * What connections send.
 *
 * @typedef {Frames
 *   | { protocol: 'churn', connections: number, size: number }
 *   | { protocol: 'http', connections: number }} Shape
 */

/**
 * The load of one run.
 *
 * @typedef {object} Load
 * @property {Shape} shape
 * @property {number} [seconds]
 * @property {number} [count]
 * @property {number} [warmUp] Seconds.
 * @property {number} [rate] Requests per second on a schedule.
 * @property {number} [timeout] Seconds that each request may take.
 * @property {'busy-poll' | 'sleep'} [waiting] What the client does while no reply is there.
 */

/**
 * The words that ask the client for a shape.
 *
 * @param {Shape} shape
 * @param {readonly string[]} endpoint
 */
function shapeWords(shape, endpoint) {
  const connections = ['--connections', String(shape.connections)]
  if (shape.protocol === 'http') return ['http', ...endpoint, ...connections]
  const size = ['--size', String(shape.size)]
  if (shape.protocol === 'churn')
    return ['churn', ...endpoint, ...connections, ...size, '--reply', 'inverted']
  const { inFlight, reply = 'echo', anyOrder = false, idle = 0 } = shape
  return [
    ...['client', ...endpoint, ...connections, ...size, '--in-flight', String(inFlight)],
    ...['--reply', reply, '--idle', String(idle)],
    ...(anyOrder ? ['--any-order'] : []),
  ]
}

/** @param {{ kind: string }} error */
const isTimeout = ({ kind }) => kind === 'timed-out'

/** What went wrong in this run of the benchmark, in the order it happened. */
export const problems = /** @type {string[]} */ ([])

/** A running server. */
export class Bench {
  #service
  #peer
  #endpoint

  /**
   * @param {Service} service
   * @param {import('./peers.mjs').PeerName} peer
   * @param {readonly string[]} endpoint
   */
  constructor(service, peer, endpoint) {
    this.#service = service
    this.#peer = peer
    this.#endpoint = endpoint
  }

  /**
   * @param {import('./peers.mjs').PeerName} peer
   * @param {'tcp' | 'unix'} transport
   * @param {readonly string[]} [options]
   * @param {'server' | 'all'} [place] Which cores it gets.
   */
  static async start(peer, transport, options = [], place = 'server') {
    sockets += 1
    const address = transport === 'tcp' ? '127.0.0.1:0' : join(directory, `${sockets}.sock`)
    const { label, command } = PEERS[peer]
    const service = new Service(label, command({ transport, address, options }), place)
    const actual = await service.expect('listening ')
    return new Bench(service, peer, [`--${transport}`, actual])
  }

  get peer() {
    return this.#peer
  }

  /** The words that tell a client where it listens. */
  get endpoint() {
    return this.#endpoint
  }

  get pid() {
    return this.#service.pid
  }

  /**
   * @param {Load} load
   * @returns {Promise<Report | undefined>} Nothing if the client failed, which is then a problem.
   */
  drive({ shape, seconds, count, warmUp = 0, rate, timeout, waiting = 'busy-poll' }) {
    return this.#run([
      ...shapeWords(shape, this.#endpoint),
      ...(count === undefined ? ['--duration', String(seconds)] : ['--count', String(count)]),
      ...(rate === undefined ? [] : ['--rate', String(rate)]),
      ...(timeout === undefined ? [] : ['--timeout', String(timeout)]),
      ...(waiting === 'busy-poll' ? ['--busy-poll'] : []),
      ...['--warm-up', String(warmUp)],
    ])
  }

  /**
   * Moves so many bytes over one connection.
   *
   * @param {{ direction: 'upload' | 'download', bytes: number }} stream
   * @returns {Promise<TransferReport | undefined>} Nothing if the client failed, which is then a problem.
   */
  transfer({ direction, bytes }) {
    const what = ['--direction', direction, '--bytes', String(bytes)]
    return this.#run(['transfer', ...this.#endpoint, ...what, '--busy-poll'])
  }

  /**
   * @param {readonly string[]} words What the client is asked to do.
   */
  async #run(words) {
    const always = ['--pid', String(this.#service.pid), '--json']
    const { code, output, errors } = await runToEnd([BENCH_PROGRAM, ...words, ...always])
    if (code !== 0) {
      // A server that is too slow for some requests has shown what it is worth.
      const report = output === '' ? undefined : JSON.parse(output)
      if (report?.requests > 0 && report.errors.every(isTimeout)) return report
      const task = words.filter((word) => !this.#endpoint.includes(word)).join(' ')
      problems.push(`${PEERS[this.#peer].label}, ${task}: ${errors || `exit code ${code}`}`)
      return undefined
    }
    return JSON.parse(output)
  }

  /**
   * Opens connections that stay idle until stopped.
   *
   * @param {number} count
   * @param {import('../servers/handler.mjs').Reply} [reply]
   */
  async holdIdle(count, reply = 'echo') {
    const words = ['client', ...this.#endpoint, '--reply', reply, '--idle', String(count), '--idle-hold']
    const holder = new Service('the idle client', [BENCH_PROGRAM, ...words], 'client')
    await holder.expect('idle ready')
    return holder
  }

  /**
   * Opens connections that send up to so many bytes each and read little, until stopped.
   *
   * @param {{ count: number, limit: number, reply: import('../servers/handler.mjs').Reply }} peers
   */
  async holdSlow({ count, limit, reply }) {
    const what = ['--connections', String(count), '--limit', String(limit), '--reply', reply]
    const words = ['slow', ...this.#endpoint, ...what]
    const holder = new Service('the slow client', [BENCH_PROGRAM, ...words], 'client')
    await holder.expect('slow ready')
    return holder
  }

  /** Resident memory now, in bytes. */
  memory() {
    return residentMemory(this.#service.pid)
  }

  /** Resident memory after a forced collection, in bytes. */
  async collectedMemory() {
    if (PEERS[this.#peer].collects) {
      this.#service.say('gc')
      await this.#service.expect('memory ')
    }
    return this.memory()
  }

  stop() {
    return this.#service.stop()
  }
}
