// One server under measurement, and the load client that drives it.

import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { BENCH_PROGRAM } from './built.mjs'
import { PEERS } from './peers.mjs'
import { residentMemory, runToEnd, Service } from './processes.mjs'

const FLOOD = fileURLToPath(new URL('../clients/handshake-flood.mjs', import.meta.url))
const directory = await mkdtemp(join(tmpdir(), 'netpoll-bench-'))
process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
let sockets = 0

/** @param {PeerName} peer @param {Partial<Subject>} [way] What is not as usual. @returns {Subject} */
export function subjectOf(peer, way = {}) {
  const { label, family } = PEERS[peer]
  const usual = {
    node: process.execPath,
    build: undefined,
    words: [],
    place: /** @type {const} */ ('server'),
  }
  return { id: peer, peer, label, family, ...usual, ...way }
}

/**
 * The words that ask the client for a shape.
 *
 * @param {Shape} shape
 * @param {readonly string[]} endpoint
 * @param {Reply} reply
 */
function shapeWords(shape, endpoint, reply) {
  const connections = ['--connections', String(shape.connections)]
  if (shape.protocol === 'http') return ['http', ...endpoint, ...connections]
  const messages = [...connections, '--size', String(shape.size), '--reply', reply]
  if (shape.protocol === 'churn') {
    return ['churn', ...endpoint, ...messages, ...(shape.resumes ? ['--resume'] : [])]
  }
  const { inFlight, anyOrder = false, idle = 0 } = shape
  return [
    ...['client', ...endpoint, ...messages, '--in-flight', String(inFlight), '--idle', String(idle)],
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
  #endpoint
  #peer
  /** @readonly */
  subject

  /** @param {Subject} subject @param {Service} service @param {readonly string[]} endpoint */
  constructor(subject, service, endpoint) {
    this.subject = subject
    this.#peer = /** @type {Peer} */ (PEERS[subject.peer])
    this.#service = service
    this.#endpoint = endpoint
  }

  /** @param {Subject} subject @param {Transport} transport */
  static async start(subject, transport) {
    sockets += 1
    const isUnix = transport === 'unix'
    const address = isUnix ? join(directory, `${sockets}.sock`) : '127.0.0.1:0'
    const option = isUnix ? '--unix' : '--tcp'
    const { peer, node, build, words, place } = subject
    const { command, after = [], tls } = /** @type {Peer} */ (PEERS[peer])
    if (transport !== 'tls') {
      const service = new Service(
        subject.label,
        [...command(node), option, address, ...after, ...words],
        place,
        build,
      )
      return new Bench(subject, service, [option, await service.expect('listening ')])
    }
    if (tls === undefined) throw new Error(`${subject.label} does not encrypt`)
    const label = subject.label.replace(PEERS[peer].label, tls.label)
    const all = [...command(node), option, address, ...after, ...tls.words, ...words]
    const service = new Service(label, all, place, build)
    const endpoint = [option, await service.expect('listening '), '--tls']
    return new Bench({ ...subject, label }, service, endpoint)
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
   * @returns {Promise<LoadReport | undefined>} Nothing if the client failed, which is then a problem.
   */
  drive({ shape, seconds, count, warmUp = 0, rate, timeout, waiting = 'busy-poll' }) {
    return this.#run([
      ...shapeWords(shape, this.#endpoint, this.#peer.reply),
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

  /** @param {readonly string[]} words What the client is asked to do. */
  async #run(words) {
    const always = ['--pid', String(this.#service.pid), '--json']
    const { code, output, errors } = await runToEnd([BENCH_PROGRAM, ...words, ...always])
    if (code !== 0) {
      // A server that is too slow for some requests has shown what it is worth.
      const report = output === '' ? undefined : JSON.parse(output)
      if (report?.requests > 0 && report.errors.every(isTimeout)) return report
      const task = words.filter((word) => !this.#endpoint.includes(word)).join(' ')
      problems.push(`${this.subject.label}, ${task}: ${errors || `exit code ${code}`}`)
      return undefined
    }
    return JSON.parse(output)
  }

  /** Opens connections that stay idle until stopped. @param {number} count */
  async holdIdle(count) {
    const what = ['--reply', this.#peer.reply, '--idle', String(count), '--idle-hold']
    const words = ['client', ...this.#endpoint, ...what]
    const holder = new Service('the idle client', [BENCH_PROGRAM, ...words], 'client')
    await holder.expect('idle ready')
    return holder
  }

  /**
   * Opens connections that send up to so many bytes each and read little, until stopped.
   *
   * @param {{ count: number, limit: number }} peers
   */
  async holdSlow({ count, limit }) {
    const what = ['--connections', String(count), '--limit', String(limit), '--reply', this.#peer.reply]
    const words = ['slow', ...this.#endpoint, ...what]
    const holder = new Service('the slow client', [BENCH_PROGRAM, ...words], 'client')
    await holder.expect('slow ready')
    return holder
  }

  /** Begins handshakes, and finishes none, until stopped. */
  async floodWithHandshakes() {
    const command = [process.execPath, FLOOD, '--tcp', this.#endpoint[1] ?? '']
    const flood = new Service('the flood of handshakes', command, 'client')
    await flood.expect('flood ready')
    // It shares a core with the load client, and must not keep that waiting. A low priority alone does not see to it.
    flood.schedule('idle')
    return flood
  }

  /** Resident memory now, in bytes. */
  memory() {
    return residentMemory(this.#service.pid)
  }

  /** Resident memory after a forced collection, in bytes. */
  async collectedMemory() {
    if (this.#peer.collects) {
      this.#service.say('gc')
      await this.#service.expect('memory ')
    }
    return this.memory()
  }

  stop() {
    return this.#service.stop()
  }
}
