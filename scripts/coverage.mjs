// How many lines of the core and of src-ts run in the tests, and which do not.
//
//   npm run coverage [-- --steps build,cargo,drive,ava,report] [--files '.test/thrift/*.test.mjs,…'] [--seconds 10] [--minimum 95]
//
// - build: cargo's tests, the random drivers and the add-on, with counters; `dist` with maps
// - cargo: the tests of Rust
// - drive: the random drivers with their saved inputs, each for `--seconds`
// - ava: the suite, or the files that are named, with that add-on
// - report: two tables, of the folders frame, connection, buffer and tls of the core, and of src-ts. Lines that have not run are
//   in target/coverage/missed.txt. It fails where fewer than `--minimum` percent have run.
//
// Each step adds to those before; `build` begins anew. It needs `rustup component add llvm-tools`.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import * as core from './coverage/core.mjs'
import * as typescript from './coverage/typescript.mjs'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: 'build,cargo,drive,ava,report' },
    files: { type: 'string', default: '' },
    seconds: { type: 'string', default: '10' },
    minimum: { type: 'string', default: '95' },
  },
})

const percent = ({ covered, missed }) => (100 * covered) / Math.max(1, covered + missed)

/** Sums of the files below each of the groups, and of all. */
function sumsOf({ groups, files }) {
  const sum = (chosen) => ({
    covered: chosen.reduce((total, { covered }) => total + covered, 0),
    missed: chosen.reduce((total, { missed }) => total + missed.length, 0),
  })
  const rows = groups.map((group) => ({ group, ...sum(files.filter(({ file }) => file.startsWith(group))) }))
  return groups.length > 1 ? [...rows, { group: 'together', ...sum(files) }] : rows
}

async function report() {
  const both = [core.report(), await typescript.report()]
  const sums = both.flatMap(sumsOf)
  console.table(
    sums.map((sum) => ({
      lines: sum.group,
      ran: sum.covered,
      missed: sum.missed,
      percent: percent(sum).toFixed(2),
    })),
  )
  const missed = both.flatMap(({ files }) => files.filter((file) => file.missed.length > 0))
  const path = join(core.folder, 'missed.txt')
  writeFileSync(
    path,
    missed.map(({ file, missed: lines }) => lines.map((line) => `${file}:${line}\n`).join('')).join(''),
  )
  process.stdout.write(`lines that have not run: ${path}\n`)
  return sums.every((sum) => percent(sum) >= Number(values.minimum))
}

const steps = {
  build() {
    core.build()
    typescript.build()
  },
  cargo() {
    core.test()
    core.merge()
  },
  drive() {
    core.drive(['framing', 'poller', 'slow', 'workers', 'link_buffer', 'tls'], values.seconds)
    core.merge()
  },
  ava() {
    typescript.test(values.files === '' ? [] : values.files.split(','))
    core.merge()
  },
  async report() {
    process.exitCode = (await report()) ? 0 : 1
  },
}

// Whether tests pass is for `npm test` to say: with counters everything takes longer. What they have run counts in any case.
for (const name of values.steps.split(',')) {
  if (steps[name] === undefined) throw new Error(`there is no step ${name}`)
  await steps[name]()
}
