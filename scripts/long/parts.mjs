// What a long run consists of, and the time that each part may take: a limit that only a hang reaches.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const ava = join('node_modules', 'ava', 'entrypoints', 'cli.mjs')
const fixture = (name) => join('.test', 'fixtures', `${name}.mjs`)
const script = (name) => join('scripts', `${name}.mjs`)

/** Parts of every version: a suite, threads that end under load, drivers beside `node:net`, Node's own tests. */
function* ofVersion({ version, binary }) {
  const part = (title, minutes, args) => ({ title, node: version, command: binary, args, minutes })
  yield part('suite', 60, [ava])
  // Worker threads that are terminated at any moment: with servers and dialers of their own, and as handlers of requests.
  for (const kind of ['inline', 'pollers', 'handlers-lost', 'handlers-closing']) {
    yield part(`1,000 terminations, ${kind}`, 60, [fixture('terminations'), kind, '1000'])
  }
  // Under load, without a transfer: no memory is kept.
  for (const kind of ['terminate', 'exit']) {
    for (const pollers of ['0', '1']) {
      const args = ['--expose-gc', fixture('unmoved-memory'), kind, '600', pollers, '1', 'none-kept']
      yield part(`600 ends of busy threads, ${kind}, ${pollers} pollers`, 60, args)
    }
  }
  // Beside node:net in the same run; what is not installed is skipped.
  yield part('drivers', 60, [script('test-drivers')])
  // Those of Node.js 24, whose helpers take what Node.js 20 does not have.
  if (!version.startsWith('20.'))
    yield part("Node's own tests of net", 30, [join('scripts', 'test-node-net', 'run.mjs')])
}

/** The suite again and again, a fifth of it while the machine is busy. */
function* rounds({ version, binary }, repeats) {
  const part = { node: version, command: binary, args: [ava] }
  for (let round = 1; round <= repeats; round += 1) {
    yield { ...part, title: 'suite, rounds', round, minutes: 60 }
  }
  for (let round = 1; round <= Math.ceil(repeats / 5); round += 1) {
    yield { ...part, title: 'suite, rounds on a busy machine', round, minutes: 180, busy: true }
  }
}

/** By the version of Node.js that runs this. */
const ownPart = (title, minutes, args) => ({
  title,
  node: process.versions.node,
  command: process.execPath,
  args,
  minutes,
})

/** What takes the version of Node.js that runs this. */
function* ofOwn(options) {
  // Timed, beside node:net in the same run.
  yield ownPart('timers beside busy writers', 20, [fixture('timer-beside-writers')])
  yield { title: 'the packages, installed', command: 'npm', args: ['run', 'test:package'], minutes: 60 }
  yield ownPart('jest, vitest and sinon', 40, [script('test-runners')])
  yield {
    title: 'bundles and single executables',
    command: 'npm',
    args: ['run', 'test:bundlers'],
    minutes: 40,
  }
  yield ownPart(`soak of ${options.connects} connects`, 180, [
    '--expose-gc',
    fixture('pool-soak'),
    String(options.connects),
  ])
  // Each is rejected within 50 ms of its deadline, on a machine that is idle.
  for (const kind of ['connection', 'ids', 'mux', 'pool']) {
    for (const pollers of ['0', '1']) {
      const args = [fixture('many-timeouts'), '100000', pollers, kind]
      yield ownPart(`100,000 timeouts, ${kind}, ${pollers} pollers`, 30, args)
    }
  }
  for (const kind of ['mux-1', 'mux-4', 'mux-order']) {
    yield ownPart(`1,000,000 lost calls, ${kind}`, 60, [
      '--expose-gc',
      fixture('lost-calls'),
      kind,
      '1000000',
    ])
  }
  // Six restarts behind one port, 256 calls in flight: none is lost.
  for (const kind of ['mux', 'pool', 'dialer', 'rpc']) {
    for (const pollers of ['0', '1', '2']) {
      const args = [fixture('restarts'), 'goaway', kind, pollers, '150000', '6', '256']
      yield ownPart(`restarts, ${kind}, ${pollers} pollers`, 40, args)
    }
  }
  yield* ofClusters()
  yield ownPart('soak of everything at once, 60 min', 90, [script('soak'), '--minutes', '60'])
  yield ownPart('faults of the system', 60, [script('test-faults'), '--seeds', '1,2,3,4,5,6,7,8,9,10'])
  // Tests one after the other, each file with a while to see what it leaves.
  yield ownPart('leaks', 120, [script('test-leaks')])
  yield ownPart('growth', 180, [script('test-growth')])
  yield ownPart('amplification', 60, [script('test-amplification')])
}

/** Services whose servers, and what finds them, come and go. */
function* ofClusters() {
  // A hundred processes behind a cluster, all of which it uses; each is restarted once, or killed. A line of figures for each
  // kind. While servers go away, p99.9 is at most five times the steady one.
  for (const args of [
    ['goaway', '100', '2000', '0.6', 'once', '5'],
    ['silent', '100', '2000', '0.6', 'idempotent'],
    ['kill', '100', '2000', '0.6', 'idempotent', '5'],
    ['kill', '100', '2000', '0.6', 'once', '5'],
    ['stop', '10', '1000', '12'],
    ['slow', '10', '1000', '20'],
  ]) {
    yield ownPart(`cluster, ${args.join(' ')}`, 40, [fixture('cluster-restarts'), ...args])
  }
  // What finds the servers is away for long, or has forgotten what was: no call fails, and the right list holds soon after.
  for (const [kind, seconds] of [
    ['etcd-kill', '60'],
    ['etcd-stop', '60'],
    ['etcd-compact', '10'],
    ['dns-servfail', '30'],
    ['dns-empty', '30'],
    ['dns-nothing', '30'],
  ]) {
    yield ownPart(`${kind} for ${seconds} s`, 10, [fixture('registry-outages'), kind, seconds])
  }
  // Servers that come and go meanwhile: connections, descriptors, timers, listeners and memory do not grow.
  for (const pollers of ['0', '1']) {
    const args = ['--expose-gc', fixture('cluster-growth'), '1000000', pollers]
    yield ownPart(`1,000,000 calls of a cluster, ${pollers} pollers`, 40, args)
  }
  const inWorker = ['--expose-gc', fixture('in-worker'), 'cluster-growth', '1000000', '0']
  yield ownPart('1,000,000 calls of a cluster in a worker', 40, inWorker)
}

/** Random drivers, two side by side, each for as long as asked. */
function* fuzzing({ fuzzSeconds }) {
  for (const target of ['framing', 'poller', 'slow', 'workers', 'link_buffer', 'tls', 'thrift', 'commands']) {
    yield {
      title: `random driver, ${target}, ${fuzzSeconds} s`,
      command: process.execPath,
      args: [script('fuzz-guided'), target, '--seconds', String(fuzzSeconds)],
      minutes: fuzzSeconds / 60 + 20,
      lane: 'fuzzing',
    }
  }
}

/** What watches memory and orders of events. */
function* watched({ versions }) {
  const cargo = (title, minutes, args, env) => ({ title, command: 'cargo', args, minutes, env })
  // Every order of events, of what threads share. A minute at two preemptions; three take a quarter of an hour.
  const loom = {
    LOOM_MAX_PREEMPTIONS: process.env.LOOM_MAX_PREEMPTIONS ?? '2',
    CARGO_TARGET_DIR: join('target', 'loom'),
    RUSTFLAGS: '--cfg loom',
  }
  yield cargo(
    'loom',
    90,
    ['test', '--release', '--locked', '--package', 'netpoll-core', '--test', 'loom'],
    loom,
  )
  // Undefined behaviour does not show in results: Miri watches every access of the buffers, whose `unsafe` it is.
  const nightly = `+${process.env.RUST_NIGHTLY ?? 'nightly'}`
  const miri = [nightly, 'miri', 'test', '--package', 'netpoll-core', '--locked']
  if (spawnSync('cargo', [nightly, 'miri', '--version']).status === 0) {
    // The pacer has no memory of its own, only long loops.
    yield cargo('Miri, the buffers', 180, [...miri, '--lib', 'buffer::', '--', '--skip', 'reclaim'])
    yield cargo('Miri, the table', 180, [...miri, '--test', 'link_buffer'])
    yield cargo('Miri, random operations', 180, [...miri, '--test', 'link_buffer_model'])
    yield cargo('Miri, framing and connections', 180, [...miri, '--lib', '--', 'frame::', 'connection::'])
    yield cargo('Miri, connections without sockets', 180, [...miri, '--test', 'pure'])
  }
  yield {
    title: 'ThreadSanitizer',
    command: process.execPath,
    args: [script('test-tsan')],
    minutes: 120,
  }
  // What shows only where every access is watched: a suite and many terminations on each version.
  const names = versions.map(({ name }) => name).join()
  const asan = ['--terminations', '600', '--versions', names]
  yield {
    title: 'AddressSanitizer',
    command: process.execPath,
    args: [script('test-asan'), ...asan],
    minutes: 120 * versions.length,
  }
}

/**
 * Everything, the rounds last.
 *
 * @param options.versions each with the `name` by which scripts know it, its `version` and `binary`; rounds are on that
 * named 24, or else on the first
 */
export function partsOf(options) {
  const { versions, repeats } = options
  const ofRounds = versions.find(({ name }) => name === '24') ?? versions[0]
  const cargoRounds = Array.from({ length: repeats }, (_, index) => ({
    title: 'Rust tests, rounds',
    round: index + 1,
    command: 'cargo',
    args: ['test', '--workspace', '--locked', '--quiet'],
    minutes: 40,
  }))
  return [
    ...versions.flatMap((version) => [...ofVersion(version)]),
    ...ofOwn(options),
    ...fuzzing(options),
    ...watched(options),
    ...cargoRounds,
    ...rounds(ofRounds, repeats),
  ]
}
