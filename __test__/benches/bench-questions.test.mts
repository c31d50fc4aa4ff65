import test from 'ava'
import { createServer, Dialer, type FramedServerOptions, lengthField, type Server } from 'netpoll'

import { benchModule, rowOf, type Section, sectionOf } from '../support/benches.mjs'

interface Round {
  readonly figures: Readonly<Record<string, number | null>>
  readonly serverShare?: number | null
  readonly clientShare?: number | null
  readonly timedOut?: number
}

interface Subject {
  readonly id: string
  readonly label: string
  readonly family: string
}

interface Turns {
  readonly subject: Subject
  readonly rounds: readonly Round[]
}

const { interleave, roundOf } = await benchModule<{
  interleave(
    title: string,
    runs: readonly { subject: Subject; measure(): Promise<Round | undefined> }[],
    count: number,
  ): Promise<readonly Turns[]>
  roundOf(report: object | undefined): Round | undefined
}>('runner/rounds.mjs')
const section = await benchModule<{
  sectionOf(head: object, measured: readonly Turns[], side?: 'server' | 'client'): Section
  withRatios(section: Section): Section
}>('questions/section.mjs')
const { versionsSection } = await benchModule<{
  versionsSection(
    load: string,
    title: string,
    nodes: readonly { version: string; program: string }[],
    measured: readonly Turns[],
  ): Section
}>('questions/node-versions.mjs')
const { BOUNDS, COMPARISONS, STEPS } = await benchModule<{
  COMPARISONS: readonly { text: string; of: readonly string[]; to: readonly string[]; plus?: string }[]
  BOUNDS: readonly { text: string }[]
  STEPS: readonly { text: string; of: string; to: string }[]
}>('questions/goals.mjs')
const { PEERS } = await benchModule<{
  PEERS: Readonly<Record<string, { reply: string; tls?: { label: string } }>>
}>('runner/peers.mjs')
const { SERVER_SCENARIOS } = await benchModule<{
  SERVER_SCENARIOS: readonly { id: string; transport: string; peers: readonly string[] }[]
}>('questions/scenarios.mjs')
const { FORMS } = await benchModule<{
  FORMS: Readonly<
    Record<
      string,
      {
        readonly label: string
        readonly about: string
        readonly reply: 'echo' | 'inverted'
        serve(create: typeof createServer, options: FramedServerOptions, task: object): Server
      }
    >
  >
}>('servers/forms.mjs')

const subject = (id: string): Subject => ({ id, label: id.toUpperCase(), family: 'node' })
const head = {
  ...{ id: 'a', group: 'A group', title: 'A', about: '' },
  columns: [
    { key: 'cpu', label: 'CPU', unit: 'microseconds' },
    { key: 'rate', label: 'requests/s', unit: 'rate' },
  ],
}

test('all take turns, round after round, and a failure leaves its round out', async (t) => {
  const order: string[] = []
  const run = (id: string) => ({
    subject: subject(id),
    measure: async () => {
      order.push(id)
      return id === 'b' && order.length === 2 ? undefined : { figures: { rate: order.length } }
    },
  })
  const measured = await interleave('turns', [run('a'), run('b')], 3)
  t.deepEqual(order, ['a', 'b', 'a', 'b', 'a', 'b'])
  t.deepEqual(
    measured.map(({ rounds }) => rounds.map(({ figures }) => figures['rate'])),
    [
      [1, 3, 5],
      [4, 6],
    ],
  )
})

test('a round without any reply has no processor time for each and no latency', (t) => {
  const report = (requests: number) => ({
    ...{ requests, requestsPerSecond: requests, client: { cpuShare: 0.5 } },
    latencyMicroseconds: { p50: 1, p99: 2, p999: 3 },
    server: { cpuShare: 1, cpuMicrosecondsPerRequest: 4, residentBytes: 5, peakResidentBytes: 6 },
    errors: [
      { kind: 'timed-out', count: 2 },
      { kind: 'timed-out', count: 1 },
    ],
  })
  t.is(roundOf(undefined), undefined)
  const some = roundOf(report(10))
  t.deepEqual(some?.figures, { rate: 10, cpu: 4, p50: 1, p99: 2, p999: 3, memory: 5, peak: 6 })
  t.is(some?.timedOut, 3)
  const none = roundOf(report(0))
  t.deepEqual(none?.figures, { rate: 0, cpu: null, p50: null, p99: null, p999: null, memory: 5, peak: 6 })
})

test('a section has the middle of the rounds, and says which side was the bottleneck', (t) => {
  const round = (cpu: number, timedOut = 0): Round => ({
    ...{ figures: { cpu, rate: 100 * cpu }, serverShare: 0.98, clientShare: 0.6, timedOut },
  })
  const measured = [
    { subject: subject('a'), rounds: [round(3), round(1), round(2, 4)] },
    { subject: subject('b'), rounds: [] },
    { subject: subject('c'), rounds: [{ figures: { cpu: 5 } }] },
  ]
  const { rows, warnings } = section.sectionOf(head, measured)
  t.deepEqual(rows[0]?.values, { cpu: 2, rate: 200 })
  t.deepEqual([rows[0]?.peer, rows[0]?.rounds, rows[0]?.cpuRounds], ['a', [3, 1, 2], [3, 1, 2]])
  t.deepEqual(
    rows.map(({ remark }) => remark),
    ['server (server 98 %, client 60 %); 4 connections timed out', 'failed', ''],
  )
  t.deepEqual(rows[2]?.values, { cpu: 5, rate: null })
  t.is(warnings.length, 1)
  const client = section.sectionOf(head, measured.slice(0, 1), 'client')
  t.regex(client.rows[0]?.remark ?? '', /^server \(client 60 %, server 98 %\)/)
  t.regex(client.warnings.at(-1) ?? '', /^the server was the bottleneck/)
})

test('the bare loop and node:net, where they were measured, have a column of ratios', (t) => {
  const rows = [rowOf('netpoll', [20, 10]), rowOf('node', [10, 5]), rowOf('bare', [40, 20])]
  const both = section.withRatios(sectionOf('a', rows))
  t.deepEqual(
    both.columns.slice(0, 4).map(({ key }) => key),
    ['rate', 'toBare', 'toNode', 'cpu'],
  )
  t.deepEqual([both.rows[0]?.values['toBare'], both.rows[0]?.values['toNode']], [0.5, 2])
  const none = section.withRatios(sectionOf('a', rows.slice(0, 1)))
  t.deepEqual(none.columns, sectionOf('a', []).columns)
})

test('versions of Node.js are columns, and the bare loop is the same in all', (t) => {
  const turns = (id: string, ...costs: readonly number[]): Turns => ({
    subject: { id, label: id.replace(' ', ' on '), family: 'node' },
    rounds: costs.map((cpu) => ({ figures: { cpu } })),
  })
  const nodes = ['20.1.0', '24.1.0'].map((version) => ({ version, program: version }))
  const measured = [
    ...[turns('netpoll 20.1.0', 3, 5, 4), turns('netpoll 24.1.0', 2, 2, 3)],
    ...[turns('node 20.1.0', 9), turns('node 24.1.0'), turns('bare', 1, 1)],
  ]
  const { columns, rows } = versionsSection('tcp-4x64', 'A load', nodes, measured)
  t.deepEqual(
    columns.map(({ key }) => key),
    ['20.1.0', '24.1.0'],
  )
  t.deepEqual(
    rows.map(({ label, values }) => [label, values['20.1.0'], values['24.1.0']]),
    [
      ['netpoll', 4, 2],
      ['node', 9, null],
      ['bare', 1, 1],
    ],
  )
  t.deepEqual(rows[0]?.rounds, [3, 5, 4])
})

test('goals are about peers that there are, and each says something of its own', (t) => {
  const others = ['filling', 'workers1', 'workers2', 'netpollBefore', 'nodePerReply', 'nodePerChunk']
  const isKnown = (peer: string) =>
    peer in PEERS || others.includes(peer) || /^netpoll(Before)?-(framed|ttheader)$/.test(peer)
  for (const { text, of, to, plus } of COMPARISONS) {
    for (const peer of [...of, ...to, ...(plus === undefined ? [] : [plus])]) t.true(isKnown(peer), text)
  }
  for (const { text, of, to } of STEPS) t.true(isKnown(of) && isKnown(to), text)
  const texts = [...COMPARISONS, ...BOUNDS, ...STEPS].map(({ text }) => text)
  t.deepEqual(
    texts.filter((text, index) => texts.indexOf(text) !== index),
    [],
  )
})

test('servers that are measured over TLS can encrypt, and are called by what does it', (t) => {
  const encrypted = SERVER_SCENARIOS.filter(({ transport }) => transport === 'tls')
  t.true(encrypted.length > 0)
  for (const { id, peers } of encrypted) for (const peer of peers) t.truthy(PEERS[peer]?.tls, `${id} ${peer}`)
  t.deepEqual(
    ['netpoll', 'node', 'nodeCorked', 'goNetBatched', 'bare'].map((peer) => PEERS[peer]?.tls?.label),
    ['netpoll', 'node:tls', 'node:tls, corked', 'Go crypto/tls, batched', 'bare rustls loop'],
  )
})

for (const [name, form] of Object.entries(FORMS)) {
  test(`the form ${name} replies as the load client expects`, async (t) => {
    t.is(PEERS[name]?.reply, form.reply)
    const framing = lengthField({ size: 4 })
    const server = form.serve(createServer, { framing }, { hold: undefined, work: 0 })
    await server.listen({ host: '127.0.0.1', port: 0 })
    t.teardown(() => server.close({ timeout: 1000 }))
    const address = server.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port })
    for (const length of [64, 1024, 100_000]) {
      const request = Buffer.alloc(length, 7)
      const expected = Buffer.from(request)
      if (form.reply === 'inverted') expected.writeInt32BE(~request.readInt32BE(0), 0)
      t.true(expected.equals(await connection.call(request)))
    }
    await connection.close()
  })
}
