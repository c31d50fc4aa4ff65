import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { benchModule, type Results } from '../support/benches.mjs'

// Names the program for the command, too; it must have been built.
await benchModule('runner/built.mjs')
const root = fileURLToPath(new URL('../..', import.meta.url))

const bench = (...words: readonly string[]) =>
  spawnSync(process.execPath, [join(root, 'benches', 'cli.mjs'), ...words], { encoding: 'utf8' })
const compare = (...words: readonly string[]) => bench('compare', ...words)

test('compare measures servers that need nothing but Node.js, and writes what it found', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'netpoll-compare-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const words = ['--quick', '--only', 'unix,idle-memory', '--peers', 'netpoll,node,bare', '--out', folder]
  const { status, stdout, stderr } = compare(...words)
  t.is(status, 0, `${stdout}\n${stderr}`)
  t.regex(stdout, /Unix sockets · 100 connections\n/)
  t.regex(stderr, /round 1\/1 · netpoll/)
  const { sections, problems } = JSON.parse(await readFile(join(folder, 'results.json'), 'utf8')) as Results
  t.deepEqual(problems, [])
  t.deepEqual(
    sections.map(({ id }) => id),
    ['unix-pool-100', 'unix-mux-100', 'unix-4x64', 'idle-memory'],
  )
  for (const { rows } of sections) {
    t.deepEqual(
      rows.map(({ peer }) => peer),
      ['netpoll', 'node', 'bare'],
    )
  }
  for (const { values } of sections[0]?.rows ?? []) t.true((values['rate'] ?? 0) > 0)
  t.true(existsSync(join(folder, 'charts', 'unix-pool-100-rate.svg')))
})

test('the short run measures every form of our handler, and writes nothing', (t) => {
  const { status, stdout, stderr } = bench('--quick', '--scenario', 'tcp-100x1')
  t.is(status, 0, `${stdout}\n${stderr}`)
  for (const label of ['netpoll', 'netpoll, allocate', 'netpoll, by reference', 'node:net', 'bare loop']) {
    t.regex(stdout, new RegExp(`^ {2}${label} {2,}\\d`, 'm'), label)
  }
  t.regex(stdout, /÷ bare loop/)
  t.notRegex(stdout, /written to/)
})

test('the sweep measures a size on servers of its own, with what V8 itself takes', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'netpoll-sweep-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const words = ['--quick', '--only', 'sweep', '--sizes', '64,1024', '--peers', 'netpoll,node,bare', '--out']
  const { status, stdout, stderr } = bench('sweep', ...words, folder)
  t.is(status, 0, `${stdout}\n${stderr}`)
  const { sections } = JSON.parse(await readFile(join(folder, 'results.json'), 'utf8')) as Results
  t.deepEqual(
    sections.map(({ id }) => id),
    ['sweep-tcp-64', 'sweep-tcp-1024'],
  )
  for (const { rows } of sections) {
    t.deepEqual(
      rows.map(({ peer }) => peer),
      ['netpoll', 'node', 'bare', 'filling'],
    )
    // On a busy machine a short round may end before the first reply. Nothing keeps the last row from being made.
    t.true((rows.at(-1)?.values['cpu'] ?? 0) > 0)
    for (const { values } of rows) t.true('cpu' in values)
    for (const { peer, values } of rows) t.is((values['peak'] ?? 0) > 0, peer !== 'filling')
  }
  t.true(existsSync(join(folder, 'charts', 'sweep-tcp-cpu.svg')))
})

test('streams, clients and workers are measured, too', (t) => {
  const words = ['--quick', '--only', 'transfer,large-calls,two-workers,http', '--peers']
  const peers = ['netpoll', 'netpollDuplex', 'netpollWorkers', 'netpollHttp', 'nodeTransfer', 'nodeHttp']
  const { status, stdout, stderr } = bench(...words, peers.join(','))
  t.is(status, 0, `${stdout}\n${stderr}`)
  for (const row of [
    /netpoll, toDuplex\(\) +\d/,
    /netpoll Mux +\d/,
    /two workers +\d/,
    /http over netpoll +\d/,
  ]) {
    t.regex(stdout, row)
  }
  t.regex(stdout, /Client, download: toDuplex\(\), to a net\.Socket/)
})

test('encrypted servers take turns, with handshakes and idle connections', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'netpoll-tls-bench-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const words = ['--quick', '--only', 'tls', '--peers', 'netpoll,netpollWorkers,node,bare', '--out', folder]
  const { status, stdout, stderr } = compare(...words)
  t.is(status, 0, `${stdout}\n${stderr}`)
  const { sections, claims, problems } = JSON.parse(
    await readFile(join(folder, 'results.json'), 'utf8'),
  ) as Results
  t.deepEqual(problems, [])
  const loads = ['tls-100x1', 'tls-4x64', 'tls-20x256k']
  t.deepEqual(
    sections.map(({ id }) => id),
    [...loads, 'tls-full', 'tls-resumed', 'tls-idle', 'tls-flood'],
  )
  for (const { id, rows } of sections) {
    const workers = loads.includes(id) ? ['netpoll, workers'] : []
    t.deepEqual(
      rows.map(({ label }) => label),
      ['netpoll', ...workers, 'node:tls', 'bare rustls loop'],
    )
    const key = id === 'tls-idle' ? 'without' : 'rate'
    // On a busy machine a short round may end before the first reply.
    for (const { values } of rows) t.true(key in values, id)
  }
  t.deepEqual(
    // Whether the short rounds of a flood see a reply is up to the machine.
    claims
      .filter(({ verdict, text }) => verdict !== 'not measured' && !text.includes('flood'))
      .map(({ text }) => text),
    [
      ...['TLS 100 × 1, to node:tls', 'TLS 100 × 1, to the bare rustls loop', 'TLS 4 × 64, to node:tls'],
      ...['TLS 20 × 256 KiB, to node:tls', 'TLS, full handshake: CPU, to node:tls'],
      'TLS, idle connections: memory of each',
    ],
  )
  t.true(existsSync(join(folder, 'charts', 'tls-100x1-rate.svg')))
})

test('another build of the package is measured beside this one', (t) => {
  const words = ['--quick', '--only', 'tcp-4x64', '--peers', 'netpoll,bare', '--before', root]
  const { status, stdout, stderr } = bench(...words)
  t.is(status, 0, `${stdout}\n${stderr}`)
  t.regex(stdout, /^ {2}netpoll, before +\d/m)
})

test('compare says what there is to ask, and refuses what there is not', (t) => {
  const list = compare('--list')
  t.is(list.status, 0)
  t.regex(list.stdout, /^questions: .*pool idle mux /)
  t.regex(list.stdout, /^peers: netpoll /m)
  t.regex(list.stdout, /^forms:\n {2}netpoll: async function/m)
  const wrong = compare('--only', 'nothing')
  t.is(wrong.status, 1)
  t.is(wrong.stderr, 'netpoll-bench: there is no question nothing\n')
})
