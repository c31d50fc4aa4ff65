import test from 'ava'

import { benchModule } from '../support/benches.mjs'

interface Options {
  readonly questions: readonly string[]
  readonly peers: readonly string[] | undefined
  readonly rounds: number
  readonly seconds: number
  readonly quick: boolean
  readonly out: string
  readonly docs: boolean
}

type Task =
  | { readonly kind: 'help' | 'list' }
  | { readonly kind: 'render'; readonly file: string; readonly out: string; readonly docs: boolean }
  | { readonly kind: 'measure'; readonly options: Options }

interface Known {
  readonly questions: readonly string[]
  readonly peers: readonly string[]
  readonly out: string
}

const { readOptions, usage } = await benchModule<{
  readOptions(words: readonly string[], known: Known): Task
  usage(questions: readonly string[]): string
}>('questions/options.mjs')

const known: Known = { questions: ['pool', 'mux'], peers: ['netpoll', 'bare'], out: '/results' }
const read = (text: string): Task => readOptions(text.split(' ').filter(Boolean), known)

const { readOptions: readShortOptions } = await benchModule<{
  readOptions(
    words: readonly string[],
  ): { readonly servers: readonly string[]; readonly rounds: number } | undefined
}>('runner/options.mjs')

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
  t.regex(usage(['pool', 'mux']), /of pool,mux$/m)
})

test('the short run measures its three servers', (t) => {
  t.deepEqual(readShortOptions([])?.servers, ['netpoll', 'node', 'bare'])
  t.throws(() => readShortOptions(['--servers', 'go']), { message: 'there is no server go' })
  t.is(readShortOptions(['--help']), undefined)
})
