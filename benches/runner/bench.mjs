// One server under measurement, and the load client that drives it.

import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { BENCH_PROGRAM, PEERS } from './peers.mjs'
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
 * What connections send; `size` is bytes of payload.
 *
 * @typedef {{ protocol: 'frames', connections: number, inFlight: number, size: number }
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
  const { inFlight, size } = shape
  return ['client', ...endpoint, ...connections, ...['--in-flight', inFlight, '--size', size].map(String)]
}

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
   */
  static async start(peer, transport, options = []) {
    sockets += 1
    const address = transport === 'tcp' ? '127.0.0.1:0' : join(directory, `${sockets}.sock`)
    const { label, command } = PEERS[peer]
    const service = new Service(label, command({ transport, address, options }), 'server')
    const actual = await service.expect('listening ')
    return new Bench(service, peer, [`--${transport}`, actual])
  }

  get peer() {
    return this.#peer
  }

  /**
   * @param {Load} load
   * @returns {Promise<Report | undefined>} Nothing if the client failed, which is then a problem.
   */
  drive({ shape, seconds, count, warmUp = 0, rate }) {
    return this.#run([
      ...shapeWords(shape, this.#endpoint),
      ...(count === undefined ? ['--duration', String(seconds)] : ['--count', String(count)]),
      ...(rate === undefined ? [] : ['--rate', String(rate)]),
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
    return this.#run(['transfer', ...this.#endpoint, '--direction', direction, '--bytes', String(bytes)])
  }

  /**
   * @param {readonly string[]} words What the client is asked to do.
   */
  async #run(words) {
    const always = ['--pid', String(this.#service.pid), '--busy-poll', '--json']
    const { code, output, errors } = await runToEnd([BENCH_PROGRAM, ...words, ...always])
    if (code !== 0) {
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
   */
  async holdIdle(count) {
    const words = ['client', ...this.#endpoint, '--idle', String(count), '--idle-hold']
    const holder = new Service('the idle client', [BENCH_PROGRAM, ...words], 'client')
    await holder.expect('idle ready')
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
