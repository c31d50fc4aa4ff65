// Everything at once, in real processes, for as long as asked: servers of each mode, clients that behave, peers that do not,
// worker threads that are terminated, and descriptors that run out. Storms and lulls take turns. Each lull ends with a look
// at what every process holds.
//
//   npm run soak -- [--minutes 60] [--seed N] [--plant chunks,descriptors,resident,lost,wrong,gap]
//
// It fails on growth, lost replies, wrong bytes, gaps of a loop, and on what a process dies of. `--plant` puts such a fault
// into a server, to see that it is found. The seed decides what each process does; when it happens, the system.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { Child } from './soak/processes.mjs'
import { pause } from './soak/random.mjs'
import { growthOf, isGap, mayBeGivenUp, partsOf } from './soak/verdict.mjs'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 2 ** 31)) },
    plant: { type: 'string', default: '' },
  },
})
const seed = Number(values.seed)
const end = performance.now() + Number(values.minutes) * 60_000
/** Milliseconds of a storm, and of a lull: longer than the servers' limits, so that what has stalled is given up. */
const storm = 9_000
const lull = 4_000
/** Descriptors of a server: fewer than a crowd takes. */
const few = 200
const enough = 2_048
/** Faults after which it is pointless to go on. */
const maxFaults = 20

const folder = mkdtempSync(join(tmpdir(), 'netpoll-soak-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const faults = []
const onFault = (text) => {
  faults.push(text)
  if (faults.length <= maxFaults) process.stdout.write(`FAULT ${text}\n`)
}

process.stdout.write(
  `soak of ${values.minutes} min, --seed ${seed}${values.plant && `, --plant ${values.plant}`}\n`,
)

const servers = ['inline', 'pollers', 'workers'].map((mode) => {
  // A plant is in one server, whose requests are many.
  const plant = mode === 'inline' ? values.plant : ''
  return new Child(mode, 'server.mjs', [mode, folder, plant], { descriptors: few, onFault })
})
const client = new Child('client', 'client.mjs', [String(seed)], { descriptors: enough, onFault })
const hostile = new Child('hostile', 'hostile.mjs', [String(seed + 1)], { descriptors: enough, onFault })
const control = new Child('control', 'control.mjs', [], { descriptors: enough, onFault })
const children = [...servers, client, hostile, control]
await Promise.all(children.map(({ ready }) => ready))

const modes = {}
for (const server of servers) modes[server.name] = await server.ask('places')
await Promise.all([client.ask('begin', modes), hostile.ask('begin', modes)])

/** What each process held at the end of each lull. The peers that do not behave are not the product's. */
const held = new Map([...servers, client].map(({ name }) => [name, []]))
const gaps = new Map()
let last = {}

/** Milliseconds that a loop got no processor for, at most. */
let longestWait = 0
/** Calls whose connection a server has ended while the client stood still for longer than servers allow. */
let givenUp = 0

/** Compares the gaps of every loop with those of a process that does nothing. */
function lookForGaps(measured) {
  const standstill = measured.get('control')?.own ?? 0
  for (const name of held.keys()) {
    const { own, wait } = measured.get(name) ?? { own: 0, wait: 0 }
    longestWait = Math.max(longestWait, wait)
    gaps.set(name, Math.max(gaps.get(name) ?? 0, own))
    if (isGap(own, standstill))
      onFault(
        `${name}: its loop stood still for ${Math.round(own)} ms by itself, and the machine for ${Math.round(standstill)}`,
      )
  }
}

/** A connection that a server has ended is a fault, unless the client stood still. */
function lookForEnds(gap, doubts) {
  if (mayBeGivenUp(gap)) givenUp += doubts.length
  else for (const doubt of doubts) onFault(`client: ${doubt}`)
}

while (performance.now() < end && faults.length < maxFaults) {
  await Promise.all([client.ask('storm'), hostile.ask('storm')])
  await pause(storm)
  await hostile.ask('lull')
  await client.ask('lull')
  await pause(lull)
  const measured = new Map()
  for (const child of children) measured.set(child.name, await child.ask('measure'))
  lookForGaps(measured)
  lookForEnds(measured.get('client')?.gap ?? 0, client.takeDoubts())
  for (const [name, list] of held) if (measured.has(name) && measured.get(name)) list.push(measured.get(name))
  last = Object.fromEntries([...measured].map(([name, value]) => [name, value?.counts]))
}

for (const child of children) child.stop()

const rows = {}
for (const [name, list] of held) {
  if (list.length < 3) {
    onFault(`${name}: too few looks to compare`)
    continue
  }
  const { problems, row } = growthOf(list)
  for (const problem of problems) onFault(`${name}: ${problem}`)
  rows[name] = { ...row, 'longest gap': `${Math.round(gaps.get(name) ?? 0)} ms` }
}
console.table(rows)
const looks = held.get('client') ?? []
process.stdout.write(
  `${looks.length} looks, of which ${partsOf(looks).last.length} are compared with as many\n`,
)
process.stdout.write(
  `a loop waited for a processor for up to ${Math.round(longestWait)} ms; ${givenUp} calls were given up beside a client that stood still\n`,
)
process.stdout.write(`${JSON.stringify(last, undefined, 1)}\n`)
process.stdout.write(
  faults.length === 0
    ? 'soak: nothing found\n'
    : `soak: ${faults.length} faults, repeat with --seed ${seed}\n`,
)
process.exitCode = faults.length > 0 ? 1 : 0
