// The campaigns that take too long for every change: all supported versions of Node.js, and the whole
// suite many times over, also while the machine is busy, threads that are terminated under load, timers beside busy
// writers, a pool that connects and disconnects for long, random drivers, and the buffers under Miri.
//
//   npm run test:long [-- --repeats 50] [--connects 1000000] [--fuzz-seconds 300]

import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { nodeBinary } from './node-binaries.mjs'

const { values } = parseArgs({
  options: {
    repeats: { type: 'string', default: '50' },
    connects: { type: 'string', default: '1000000' },
    'fuzz-seconds': { type: 'string', default: '300' },
  },
})
const repeats = Number(values.repeats)
const ava = join('node_modules', 'ava', 'entrypoints', 'cli.mjs')
const versions = ['22', '24', '26']

let passed = 0
let failed = 0

function attempt(title, command, args, timeout = 600_000) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout })
  if (status === 0) passed += 1
  else {
    failed += 1
    process.stdout.write(`FAILED: ${title}\n${stdout}\n${stderr}\n`)
  }
  return status === 0
}

function report(title) {
  process.stdout.write(`${title}: ${passed} passed, ${failed} failed so far\n`)
}

const binaries = process.platform === 'linux' && process.arch === 'x64' ? versions.map(nodeBinary) : []

for (const [index, binary] of binaries.entries()) {
  attempt(`suite on Node.js ${versions[index]}`, binary, [ava])
  report(`Node.js ${versions[index]}`)
}

// Worker threads that are terminated at any moment: with servers and dialers of their own, and as handlers of requests.
const terminations = join('.test', 'fixtures', 'terminations.mjs')
for (const binary of [process.execPath, ...binaries]) {
  for (const kind of ['inline', 'pollers', 'handlers-lost', 'handlers-closing']) {
    attempt(`1,000 terminations, ${kind}, ${binary}`, binary, [terminations, kind, '1000'])
  }
}
report('terminations')

// Under load, without a transfer: no memory is kept.
const unmoved = join('.test', 'fixtures', 'unmoved-memory.mjs')
for (const binary of [process.execPath, ...binaries]) {
  for (const kind of ['terminate', 'exit']) {
    for (const pollers of ['0', '1']) {
      const title = `600 ends of busy threads, ${kind}, ${pollers} pollers, ${binary}`
      attempt(title, binary, ['--expose-gc', unmoved, kind, '600', pollers, '1', 'none-kept'])
    }
  }
}
report('memory that nothing has moved')

// Timed, beside node:net in the same run.
attempt('timers beside busy writers', process.execPath, [
  join('.test', 'fixtures', 'timer-beside-writers.mjs'),
])
report('timers')

attempt('the packages, installed', 'npm', ['run', 'test:package'])
report('packages')

attempt('jest, vitest and sinon', process.execPath, [join('scripts', 'test-runners.mjs')], 1_200_000)
report('test runners')

attempt('in bundles and single executables', 'npm', ['run', 'test:bundlers'])
report('bundlers')

// Beside node:net in the same run, on each version; what is not installed is skipped.
for (const binary of [process.execPath, ...binaries]) {
  attempt(`drivers, ${binary}`, binary, [join('scripts', 'test-drivers.mjs')], 3_600_000)
}
report('drivers')

for (let round = 1; round <= repeats; round += 1) attempt(`round ${round}`, process.execPath, [ava])
report(`${repeats} rounds of the suite`)

// Two processes that do nothing but compute, so that everything happens at unusual moments.
const busy = [0, 1].map(() => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }))
try {
  for (let round = 1; round <= Math.ceil(repeats / 5); round += 1) {
    attempt(`busy round ${round}`, process.execPath, [ava])
  }
} finally {
  for (const child of busy) child.kill('SIGKILL')
}
report('rounds on a busy machine')

attempt(`soak of ${values.connects} connects`, process.execPath, [
  '--expose-gc',
  join('.test', 'fixtures', 'pool-soak.mjs'),
  values.connects,
])
report('soak')

// Each is rejected within 50 ms of its deadline, on a machine that is idle.
for (const kind of ['connection', 'ids', 'mux', 'pool']) {
  for (const pollers of ['0', '1']) {
    const fixture = join('.test', 'fixtures', 'many-timeouts.mjs')
    attempt(`100,000 timeouts, ${kind}, ${pollers} pollers`, process.execPath, [
      fixture,
      '100000',
      pollers,
      kind,
    ])
  }
}
report('timeouts')

for (const kind of ['mux-1', 'mux-4', 'mux-order']) {
  const fixture = join('.test', 'fixtures', 'lost-calls.mjs')
  attempt(`1,000,000 lost calls, ${kind}`, process.execPath, ['--expose-gc', fixture, kind, '1000000'])
}
report('lost calls')

// Six restarts behind one port, 256 calls in flight: none is lost.
for (const kind of ['mux', 'pool', 'dialer', 'rpc']) {
  for (const pollers of ['0', '1', '2']) {
    const args = ['goaway', kind, pollers, '150000', '6', '256']
    attempt(`restarts, ${kind}, ${pollers} pollers`, process.execPath, [
      join('.test', 'fixtures', 'restarts.mjs'),
      ...args,
    ])
  }
}
report('restarts')

for (const target of ['framing', 'poller', 'commands']) {
  const options = ['--seconds', values['fuzz-seconds']]
  const run = ['run', '--release', '--locked', '--package', 'netpoll-fuzz', '--', target]
  attempt(`random driver: ${target}`, 'cargo', [...run, ...options])
}
report('random drivers')
attempt('growth', process.execPath, [join('scripts', 'test-growth.mjs')], 7_200_000)
report('growth')
attempt('amplification', process.execPath, [join('scripts', 'test-amplification.mjs')], 1_800_000)
report('amplification')

// Every order of events, of what threads share. A minute at two preemptions; three take a quarter of an hour.
process.env.LOOM_MAX_PREEMPTIONS ??= '2'
process.env.CARGO_TARGET_DIR = join('target', 'loom')
process.env.RUSTFLAGS = '--cfg loom'
attempt('loom', 'cargo', ['test', '--release', '--locked', '--package', 'netpoll-core', '--test', 'loom'])
delete process.env.CARGO_TARGET_DIR
delete process.env.RUSTFLAGS
report('Loom')

// Undefined behaviour does not show in results: Miri watches every access of the buffers, whose `unsafe` it is.
const miri = ['+nightly', 'miri', 'test', '--package', 'netpoll-core', '--locked']
if (spawnSync('cargo', ['+nightly', 'miri', '--version']).status === 0) {
  // The pacer has no memory of its own, only long loops.
  attempt('Miri, the buffers', 'cargo', [...miri, '--lib', 'buffer::', '--', '--skip', 'reclaim'])
  attempt('Miri, the table', 'cargo', [...miri, '--test', 'link_buffer'])
  attempt('Miri, random operations', 'cargo', [...miri, '--test', 'link_buffer_model'])
  report('Miri')
} else {
  process.stdout.write('Miri: skipped, the nightly toolchain has no component of that name\n')
}

// What shows only where every access is watched: a suite and many terminations on each version.
const asan = ['--terminations', '600', '--versions', ['own', ...(binaries.length > 0 ? versions : [])].join()]
attempt('AddressSanitizer', process.execPath, [join('scripts', 'test-asan.mjs'), ...asan], 7_200_000)
report('AddressSanitizer')

for (let round = 1; round <= repeats; round += 1) {
  attempt(`cargo round ${round}`, 'cargo', ['test', '--workspace', '--locked', '--quiet'])
}
report(`${repeats} rounds of the Rust tests`)

process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
