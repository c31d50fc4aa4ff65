import test from 'ava'

import { benchModule } from '../support/benches.mjs'

interface Options {
  readonly questions: readonly string[]
  readonly peers: readonly string[] | undefined
  readonly rounds: number
  readonly seconds: number
  readonly quick: boolean
  readonly sizes: readonly number[]
  readonly node: string
  readonly nodes: readonly { readonly version: string; readonly program: string }[]
  readonly before: string | undefined
  readonly scope: string
  readonly out: string | undefined
  readonly docs: boolean
}

type Task =
  | { readonly kind: 'help' | 'list' }
  | { readonly kind: 'render'; readonly file: string; readonly out: string; readonly docs: boolean }
  | { readonly kind: 'measure'; readonly options: Options }

interface Known {
  readonly questions: readonly string[]
  readonly peers: readonly string[]
}

interface Preset {
  readonly usage: string
  readonly scope: string
  readonly questions: readonly string[]
  readonly more: readonly string[]
  readonly rounds: number
  readonly seconds: number
  readonly sizes: readonly number[]
  readonly out: string | undefined
}

const { readOptions, usage } = await benchModule<{
  readOptions(words: readonly string[], preset: Preset, known: Known): Task
  usage(preset: Preset, questions: readonly string[]): string
}>('questions/options.mjs')
const { PRESETS } = await benchModule<{
  PRESETS: Readonly<Record<'compare' | 'short' | 'sweep' | 'rpc', Preset>>
}>('questions/presets.mjs')
const { QUESTIONS } = await benchModule<{
  QUESTIONS: readonly { readonly name: string }[]
}>('questions/questions.mjs')
const { partsOf } = await benchModule<{
  partsOf(options: Pick<Options, 'questions' | 'sizes' | 'scope'>): readonly { readonly id: string }[]
}>('questions/suite.mjs')
const { scenarioOf, peersOf } = await benchModule<{
  scenarioOf(id: string): object
  peersOf(scenario: object, scope: string): readonly string[]
}>('questions/scenarios.mjs')
const { FORM_PEERS } = await benchModule<{ FORM_PEERS: readonly string[] }>('runner/peers.mjs')

const preset: Preset = {
  usage: 'Usage',
  scope: 'full',
  questions: ['pool', 'mux'],
  more: ['sweep'],
  rounds: 5,
  seconds: 1,
  sizes: [64, 256],
  out: '/results',
}
const known: Known = { questions: ['pool', 'mux', 'sweep'], peers: ['netpoll', 'bare'] }
const read = (text: string): Task => readOptions(text.split(' ').filter(Boolean), preset, known)
const readMeasured = (text: string): Options => {
  const task = read(text)
  if (task.kind !== 'measure') throw new Error(`${text} measures nothing`)
  return task.options
}

test('without options everything is asked of everyone', (t) => {
  const task = read('')
  t.is(task.kind, 'measure')
  if (task.kind !== 'measure') return
  const { questions, peers, rounds, seconds, out, docs } = task.options
  t.deepEqual(
    [questions, peers, rounds, seconds, out, docs],
    [['pool', 'mux'], undefined, 5, 1, '/results', false],
  )
})

test('questions and peers may be chosen', (t) => {
  const task = read('--only mux --peers bare,netpoll --rounds 3 --seconds 0.5 --out /here --docs')
  t.is(task.kind, 'measure')
  if (task.kind !== 'measure') return
  const { questions, peers, rounds, seconds, out, docs } = task.options
  t.deepEqual(
    [questions, peers, rounds, seconds, out, docs],
    [['mux'], ['bare', 'netpoll'], 3, 0.5, '/here', true],
  )
})

test('a quick run has one short round, unless told', (t) => {
  const task = read('--quick')
  t.is(task.kind, 'measure')
  if (task.kind !== 'measure') return
  t.deepEqual([task.options.rounds, task.options.seconds], [1, 0.2])
  const longer = read('--quick --rounds 2')
  t.is(longer.kind === 'measure' && longer.options.rounds, 2)
})

test('unknown names and numbers that are none are refused', (t) => {
  t.throws(() => read('--only nothing'), { message: 'there is no question nothing' })
  t.throws(() => read('--peers netpoll,nobody'), { message: 'there is no peer nobody' })
  t.throws(() => read('--rounds 0'), { message: '--rounds must be a number above 0' })
  t.throws(() => read('--seconds soon'), { message: '--seconds must be a number above 0' })
  t.throws(() => read('--what'))
})

test('help, a list, and drawing again measure nothing', (t) => {
  t.deepEqual(read('--help'), { kind: 'help' })
  t.deepEqual(read('--list'), { kind: 'list' })
  t.deepEqual(read('--render file.json'), { kind: 'render', file: 'file.json', out: '/results', docs: false })
})

test('the usage names all questions', (t) => {
  t.regex(usage(preset, ['pool', 'mux']), /of pool,mux$/m)
})

test('a scenario is a question by another name, and each may be asked several times', (t) => {
  t.deepEqual(readMeasured('--scenario mux').questions, ['mux'])
  t.deepEqual(readMeasured('--scenario mux --scenario pool').questions, ['mux', 'pool'])
  t.deepEqual(readMeasured('--only pool --only sweep,mux').questions, ['pool', 'sweep', 'mux'])
})

test('all asks what takes longer, too', (t) => {
  t.deepEqual(readMeasured('--all').questions, ['pool', 'mux', 'sweep'])
})

test('sizes of the sweep, and builds and programs to measure, may be chosen', (t) => {
  t.deepEqual(readMeasured('').sizes, [64, 256])
  t.deepEqual(readMeasured('--sizes 64,4096').sizes, [64, 4096])
  t.throws(() => read('--sizes 64,many'), { message: '--sizes must be a number above 0' })
  t.is(readMeasured('').node, process.execPath)
  t.is(readMeasured('--node /a/node').node, '/a/node')
  t.is(readMeasured('').before, undefined)
  t.is(readMeasured('--before /old').before, '/old')
  const program = process.execPath
  t.deepEqual(readMeasured(`--nodes ${program}`).nodes, [{ version: process.versions.node, program }])
  t.throws(() => read('--nodes /nothing'), { message: '/nothing is no Node.js' })
})

test('every preset asks questions that there are', (t) => {
  const names = QUESTIONS.map(({ name }) => name)
  for (const { questions, more } of Object.values(PRESETS)) {
    t.deepEqual(
      [...questions, ...more].filter((name) => !names.includes(name)),
      [],
    )
  }
})

test('the short run is a choice from the long one', (t) => {
  const ids = (name: 'short' | 'compare') => partsOf(PRESETS[name]).map(({ id }) => id)
  t.deepEqual(ids('short'), ['pool-100', 'tcp-4x64', 'unix-pool-100'])
  for (const id of ids('short')) t.true(ids('compare').includes(id), id)
  t.deepEqual(
    ids('compare').filter((id, index, all) => all.indexOf(id) !== index),
    [],
  )
})

test('the short run measures its servers: each form of our handler, node:net, and the bare loop', (t) => {
  t.is(FORM_PEERS[0], 'netpoll')
  for (const { id } of partsOf(PRESETS.short)) {
    t.deepEqual(peersOf(scenarioOf(id), PRESETS.short.scope), [...FORM_PEERS, 'node', 'bare'])
    const all = peersOf(scenarioOf(id), 'full')
    for (const peer of [...FORM_PEERS, 'gnet', 'evio', 'netty']) t.true(all.includes(peer), peer)
  }
  const words = ['--peers', 'go']
  t.throws(() => readOptions(words, PRESETS.short, known), { message: 'there is no peer go' })
  t.is(readOptions(['--help'], PRESETS.short, known).kind, 'help')
})

test('the sweep asks every size over TCP, and over unix sockets in the long run', (t) => {
  const ids = (scope: string, sizes: readonly number[]) =>
    partsOf({ questions: ['sweep'], sizes, scope }).map(({ id }) => id)
  t.deepEqual(ids('goals', [64, 32768]), ['sweep-tcp-64', 'sweep-tcp-32768'])
  t.deepEqual(ids('full', [64]), ['sweep-tcp-64', 'sweep-unix-64'])
  t.deepEqual(PRESETS.compare.sizes, [64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304])
})
