// One large stream over one connection, to a server and from it, and the same on the client's side.

import { Bench, subjectOf } from '../runner/bench.mjs'
import { fromRoot } from '../runner/paths.mjs'
import { processorTime, runToEnd } from '../runner/processes.mjs'
import { interleave } from '../runner/rounds.mjs'
import { COLUMNS, sectionOf } from './section.mjs'

const GIBIBYTE = 2 ** 30
const QUICK_BYTES = 2 ** 24

/** @typedef {import('./questions.mjs').Context} Context */
/** @typedef {'upload' | 'download'} Direction */

export const DIRECTIONS = /** @type {const} */ (['upload', 'download'])

const SERVERS = /** @type {const} */ (['netpollTransfer', 'netpollDuplex', 'nodeTransfer', 'bareTransfer'])
const CLIENTS = /** @type {const} */ ({ netpollDuplex: 'netpoll', nodeTransfer: 'net' })

const RATE = /** @type {const} */ ({ key: 'rate', label: 'bytes/s', unit: 'bytes' })
const CPU = /** @type {const} */ ({ key: 'cpu', label: 'CPU/MiB', unit: 'microseconds' })

/**
 * @param {string} id
 * @param {string} title
 * @param {readonly import('./section.mjs').Column[]} columns
 */
const headOf = (id, title, columns) => ({
  id,
  group: 'One stream',
  title,
  about: 'One connection carries 1 GiB in writes of 64 KiB; the first transfer is the warm-up.',
  columns,
})

/**
 * @param {Direction} direction
 * @param {Context} context
 */
export async function measureServerTransfer(direction, { options, subjects }) {
  const bytes = options.quick ? QUICK_BYTES : GIBIBYTE
  const verb = direction === 'upload' ? 'receives' : 'sends'
  // Servers of its own for each direction: the peak of their memory is that direction's.
  /** @type {Bench[]} */
  const benches = []
  try {
    for (const subject of subjects(SERVERS)) benches.push(await Bench.start(subject, 'tcp'))
    for (const bench of benches) await bench.transfer({ direction, bytes })
    const runs = benches.map((bench) => ({
      subject: bench.subject,
      measure: async () => {
        const report = await bench.transfer({ direction, bytes })
        if (report === undefined) return undefined
        const { megabytesPerSecond, server, client } = report
        const figures = {
          rate: megabytesPerSecond * 1e6,
          cpu:
            server.cpuMillisecondsPerGibibyte === null
              ? null
              : server.cpuMillisecondsPerGibibyte * (1000 / 1024),
          peak: server.peakResidentBytes,
        }
        return { figures, serverShare: server.cpuShare, clientShare: client.cpuShare }
      },
    }))
    const head = headOf(`transfer-${direction}`, `A server that ${verb}`, [RATE, CPU, COLUMNS.peak])
    return sectionOf(head, await interleave(head.title, runs, options.rounds))
  } finally {
    await Promise.all(benches.map((bench) => bench.stop()))
  }
}

/**
 * @param {Direction} direction
 * @param {Context} context
 */
export async function measureClientTransfer(direction, { options, subjects }) {
  const bytes = options.quick ? QUICK_BYTES : GIBIBYTE
  const verb = direction === 'upload' ? 'sends' : 'receives'
  const server = await Bench.start(subjectOf('bareTransfer', { node: options.node }), 'tcp')
  try {
    const runs = Object.entries(CLIENTS).flatMap(([peer, over]) =>
      subjects([/** @type {keyof typeof CLIENTS} */ (peer)]).map((subject) => {
        const script = fromRoot('benches/clients/stream-transfer.mjs')
        const words = [...server.endpoint, '--over', over, '--direction', direction]
        const command = [subject.node, script, ...words]
        return { subject, measure: () => moveBytes(command, bytes, server) }
      }),
    )
    const head = headOf(`client-transfer-${direction}`, `A client that ${verb}`, [RATE, CPU])
    return sectionOf(head, await interleave(head.title, runs, options.rounds), 'client')
  } finally {
    await server.stop()
  }
}

/**
 * @param {readonly string[]} command
 * @param {number} bytes
 * @param {Bench} server
 */
async function moveBytes(command, bytes, server) {
  const before = processorTime(server.pid)
  const { code, output, errors } = await runToEnd([...command, '--bytes', String(bytes)])
  if (code !== 0) throw new Error(`${command.join(' ')}: ${errors}`)
  const { seconds, cpuSeconds } = JSON.parse(output)
  return {
    figures: { rate: bytes / seconds, cpu: (cpuSeconds * 1e6) / (bytes / 2 ** 20) },
    clientShare: cpuSeconds / seconds,
    serverShare: (processorTime(server.pid) - before) / seconds,
  }
}
