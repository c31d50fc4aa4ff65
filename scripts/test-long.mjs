// The campaigns that take too long for every change: all supported versions of Node.js, and the whole
// suite many times over, also while the machine is busy, threads that are terminated under load, timers beside busy
// writers, a pool that connects and disconnects for long, random drivers, and the buffers under Miri.
//
//   npm run test:long [-- --repeats 50] [--connects 1000000] [--fuzz-seconds 1800] [--only PATTERN] [--list] [--anew]
//
// What has passed is kept in `.long/journal`, with the commit. A run that was ended goes on where it was; a part that has
// failed is run again. What the parts print is in `.long/logs`.

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { Journal, stateOfSources } from './long/journal.mjs'
import { partsOf } from './long/parts.mjs'
import { runParts } from './long/run.mjs'
import { nodeBinary } from './node-binaries.mjs'

const { values } = parseArgs({
  options: {
    repeats: { type: 'string', default: '50' },
    connects: { type: 'string', default: '1000000' },
    'fuzz-seconds': { type: 'string', default: '1800' },
    only: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
    anew: { type: 'boolean', default: false },
  },
})

/** The versions of Node.js: each that npm has for this machine, or else the one that runs this. */
function versionsHere() {
  const own = [{ name: 'own', version: process.versions.node, binary: process.execPath }]
  if (process.platform !== 'linux' || process.arch !== 'x64') return own
  return ['20', '22', '24', '26'].map((name) => {
    const binary = nodeBinary(name)
    const { stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' })
    if (!stdout) throw new Error(`There is no Node.js ${name}: npm could not install it`)
    return { name, version: stdout.trim().slice(1), binary }
  })
}

const options = {
  versions: versionsHere(),
  repeats: Number(values.repeats),
  connects: Number(values.connects),
  fuzzSeconds: Number(values['fuzz-seconds']),
}
const pattern = new RegExp(values.only)
const parts = partsOf(options).filter(({ title, node = '' }) => pattern.test(`${title}, ${node}`))

if (!parts.some(({ title }) => title.startsWith('Miri')) && pattern.test('Miri')) {
  process.stdout.write('Miri: skipped, the nightly toolchain has no component of that name\n')
}
if (values.list) {
  for (const { title, node = '', round = '', minutes } of parts) {
    process.stdout.write(`${[title, node, round].filter(Boolean).join(', ')}: at most ${minutes} min\n`)
  }
} else {
  const path = join('.long', 'journal')
  if (values.anew) rmSync(path, { force: true })
  const journal = new Journal(path, stateOfSources('.'))
  const folder = join('.long', 'logs')
  const failed = await runParts(parts, { journal, folder, write: (text) => process.stdout.write(text) })
  process.exitCode = failed > 0 ? 1 : 0
}
