// What a process holds, and how long its event loop stands still, must not grow with traffic: live chunks, descriptors,
// resident memory and the longest gap, after so many requests and after four times as many more, in every mode. What takes
// time, and memory that the system counts, are held against node:net under the same load in the same run.
//
//   npm run test:growth [-- --requests 40000] [--rounds 3]

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { requests: { type: 'string', default: '40000' }, rounds: { type: 'string', default: '3' } },
})
const fixture = join('.test', 'fixtures', 'growth.mjs')
const modes = [
  ...['server-inline', 'server-pollers-1', 'server-pollers-2'],
  ...['server-workers-1', 'server-workers-2', 'server-workers-3'],
  ...['dialer-inline', 'dialer-pollers-1', 'dialer-pollers-2'],
  ...['worker-beside-dialer', 'worker-beside-server'],
  ...[
    'writing-server-inline',
    'writing-server-pollers-1',
    'writing-dialer-inline',
    'writing-dialer-pollers-1',
  ],
]
const maxLiveChunks = 64
/** More than node:net grows in the same time. */
const maxResident = 32 * 2 ** 20
/** A gap is too long from twice that of node:net, and this, on. */
const gapAllowance = 20

/** Runs one mode, or what node:net does in its place. */
function run(mode, transport, kind) {
  const args = ['--expose-gc', fixture, mode, transport, values.requests, kind]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 600_000 })
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`)
  return JSON.parse(stdout)
}

const growthOf = ({ first, later }) => later.resident - first.resident
const mebibytes = (bytes) => Math.round(bytes / 2 ** 20)

/** What is wrong with the rounds of one mode, in words. */
function problems(rounds, controls) {
  // A machine does other things, too: what grows does so in every round.
  const least = (list, figure) => Math.min(...list.map(figure))
  const live = least(rounds, ({ later }) => later.liveChunks)
  const descriptors = least(rounds, ({ first, later }) => later.descriptors - first.descriptors)
  const resident = least(rounds, growthOf)
  const gap = least(rounds, ({ later }) => later.gapMilliseconds)
  const gapOfControl = Math.max(...controls.map(({ later }) => later.gapMilliseconds))
  const found = []
  if (live > maxLiveChunks) found.push(`${live} live chunks`)
  if (descriptors > 0) found.push(`${descriptors} descriptors more`)
  if (resident > Math.max(0, least(controls, growthOf)) + maxResident)
    found.push(`${mebibytes(resident)} MiB more`)
  if (gap > 2 * gapOfControl + gapAllowance) found.push(`${Math.round(gap)} ms without a turn`)
  const row = {
    'live chunks': live,
    'resident, MiB more': mebibytes(resident),
    'gap, ms': Math.round(gap),
    'of node:net, ms': Math.round(gapOfControl),
  }
  return { found, row }
}

let passed = 0
let failed = 0
const table = {}
for (const transport of ['tcp', 'unix']) {
  for (const mode of modes) {
    const [rounds, controls] = [[], []]
    for (let round = 0; round < Number(values.rounds); round += 1) {
      controls.push(run(mode, transport, 'control'))
      rounds.push(run(mode, transport, 'netpoll'))
    }
    const { found, row } = problems(rounds, controls)
    table[`${mode}, ${transport}`] = { ...row, problems: found.join(', ') }
    if (found.length === 0) passed += 1
    else failed += 1
  }
}
console.table(table)
process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
