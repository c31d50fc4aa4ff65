// One large stream over one connection, to a server and from it, and the same on the client's side.

import { subjectOf } from '../runner/bench.mjs'
import { withServer, withServers } from '../runner/fleet.mjs'
import { fromRoot } from '../runner/paths.mjs'
import { processorTime, runToEnd } from '../runner/processes.mjs'
import { interleave } from '../runner/rounds.mjs'
import { COLUMNS, sectionOf } from './section.mjs'

const GIBIBYTE = 2 ** 30
const QUICK_BYTES = 2 ** 24

/** @typedef {'upload' | 'download'} Direction */

export const DIRECTIONS = /** @type {const} */ (['upload', 'download'])

const SERVERS = /** @type {const} */ (['netpollTransfer', 'netpollDuplex', 'nodeTransfer', 'bareTransfer'])
const CLIENTS = /** @type {const} */ (['netpollDuplex', 'nodeTransfer'])

const RATE = /** @type {const} */ ({ key: 'rate', label: 'bytes/s', unit: 'bytes' })
const CPU = /** @type {const} */ ({ key: 'cpu', label: 'CPU/MiB', unit: 'microseconds' })

/** @param {string} id @param {string} title @param {readonly Column[]} columns */
const headOf = (id, title, columns) => ({
  id,
  group: 'One stream',
  title,
  about: 'One connection carries 1 GiB in writes of 64 KiB; the first transfer is the warm-up.',
  columns,
})

/**
 * Servers of its own for each direction: the peak of their memory is that direction's.
 *
 * @param {Direction} direction
 * @param {Context} context
 */
export const measureServerTransfer = (direction, { options, subjects }) =>
  withServers('tcp', subjects(SERVERS), async (benches) => {
    const bytes = options.quick ? QUICK_BYTES : GIBIBYTE
    const verb = direction === 'upload' ? 'receives' : 'sends'
    for (const bench of benches) await bench.transfer({ direction, bytes })
    const runs = benches.map((bench) => ({
      subject: bench.subject,
      measure: async () => transferRound(await bench.transfer({ direction, bytes })),
    }))
    const head = headOf(`transfer-${direction}`, `A server that ${verb}`, [RATE, CPU, COLUMNS.peak])
    return sectionOf(head, await interleave(head.title, runs, options.rounds))
  })

/** @param {TransferReport | undefined} report @returns {Round | undefined} */
function transferRound(report) {
  if (report === undefined) return undefined
  const { megabytesPerSecond, server, client } = report
  const { cpuMillisecondsPerGibibyte: cost, peakResidentBytes: peak } = server
  const figures = { rate: megabytesPerSecond * 1e6, cpu: cost && cost * (1000 / 1024), peak }
  return { figures, serverShare: server.cpuShare, clientShare: client.cpuShare }
}

/** @param {Direction} direction @param {Context} context */
export const measureClientTransfer = (direction, { options, subjects }) =>
  withServer(subjectOf('bareTransfer'), async (server) => {
    const bytes = options.quick ? QUICK_BYTES : GIBIBYTE
    const verb = direction === 'upload' ? 'sends' : 'receives'
    const runs = subjects(CLIENTS).map((subject) => {
      const over = subject.family === 'netpoll' ? 'netpoll' : 'net'
      const words = ['--over', over, '--direction', direction, '--bytes', String(bytes)]
      const command = [subject.node, fromRoot('benches/clients/stream-transfer.mjs'), ...words]
      return { subject, measure: () => moveBytes(command, bytes, server) }
    })
    const head = headOf(`client-transfer-${direction}`, `A client that ${verb}`, [RATE, CPU])
    return sectionOf(head, await interleave(head.title, runs, options.rounds), 'client')
  })

/**
 * @param {readonly string[]} command
 * @param {number} bytes
 * @param {import('../runner/bench.mjs').Bench} server
 */
async function moveBytes(command, bytes, server) {
  const before = processorTime(server.pid)
  const { code, output, errors } = await runToEnd([...command, ...server.endpoint])
  if (code !== 0) throw new Error(`${command.join(' ')}: ${errors}`)
  const { seconds, cpuSeconds } = JSON.parse(output)
  return {
    figures: { rate: bytes / seconds, cpu: (cpuSeconds * 1e6) / (bytes / 2 ** 20) },
    clientShare: cpuSeconds / seconds,
    serverShare: (processorTime(server.pid) - before) / seconds,
  }
}
