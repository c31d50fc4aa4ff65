// One server under measurement, and the load client that drives it.

import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { BENCH_PROGRAM, PEERS } from './peers.mjs'
import { Service, residentMemory, runToEnd } from './processes.mjs'

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
 * The load of one run.
 *
 * @typedef {object} Load
 * @property {number} connections
 * @property {number} inFlight
 * @property {number} size Bytes of payload.
 * @property {number} [seconds]
 * @property {number} [count]
 * @property {number} [warmUp] Seconds.
 * @property {number} [rate] Requests per second on a schedule.
 */

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
  async drive({ connections, inFlight, size, seconds, count, warmUp = 0, rate }) {
    const { code, output, errors } = await runToEnd([
      BENCH_PROGRAM,
      'client',
      ...this.#endpoint,
      ...['--connections', connections, '--in-flight', inFlight, '--size', size].map(String),
      ...(count === undefined ? ['--duration', String(seconds)] : ['--count', String(count)]),
      ...(rate === undefined ? [] : ['--rate', String(rate)]),
      ...['--warm-up', warmUp, '--pid', this.#service.pid].map(String),
      '--busy-poll',
      '--json',
    ])
    if (code !== 0) {
      problems.push(
        `${PEERS[this.#peer].label}, ${connections} × ${inFlight}: ${errors || `exit code ${code}`}`,
      )
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
