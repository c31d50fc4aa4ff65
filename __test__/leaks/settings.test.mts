// What the variables of the environment ask the detector of leaks for.
import { createRequire } from 'node:module'
import test, { type ExecutionContext } from 'ava'

import type { LeakSettings } from '../../dist/leaks/settings.js'

const require = createRequire(import.meta.url)
const path = require.resolve('../../dist/leaks/settings.js')

/** The settings as a process reads them that has these variables; the module reads them once, when it is loaded. */
function settingsOf(t: ExecutionContext, variables: NodeJS.ProcessEnv): LeakSettings | undefined {
  const { env } = process
  const loaded = require.cache[path]
  t.teardown(() => {
    process.env = env
    require.cache[path] = loaded
  })
  delete require.cache[path]
  process.env = variables
  return (require(path) as { readonly leakSettings: LeakSettings | undefined }).leakSettings
}

/** Those of a process that looks for leaks. */
const settings = (t: ExecutionContext, variables: NodeJS.ProcessEnv) =>
  settingsOf(t, { NETPOLL_LEAK_DETECTION: 'paranoid', ...variables })

const ages: readonly (readonly [given: string | undefined, age: number])[] = [
  [undefined, 60_000],
  ['30000', 30_000],
  ['100', 100],
  ['1', 100],
  ['250.5', 251],
  ['2147483647', 2 ** 31 - 1],
  ['2147483648', 60_000],
  ['Infinity', 60_000],
  ['-1', 60_000],
  ['0', 60_000],
  ['', 60_000],
  ['soon', 60_000],
]

for (const [given, age] of ages) {
  test.serial(`an age of ${given} is ${age} ms`, (t) => {
    t.is(settings(t, { NETPOLL_LEAK_AGE: given })?.age, age)
  })
}

test.serial('reports go to a file only where one is named', (t) => {
  t.is(settings(t, {})?.file, undefined)
  t.is(settings(t, { NETPOLL_LEAK_FILE: '' })?.file, undefined)
  t.is(settings(t, { NETPOLL_LEAK_FILE: '/run/leaks' })?.file, '/run/leaks')
})

for (const level of [undefined, '', '0', 'disabled']) {
  test.serial(`leaks are not looked for: ${level}`, (t) => {
    t.is(settingsOf(t, { NETPOLL_LEAK_DETECTION: level }), undefined)
  })
}

test.serial('a level that does not exist is told, and leaks are not looked for', (t) => {
  const { emitWarning } = process
  const warnings: unknown[] = []
  t.teardown(() => {
    process.emitWarning = emitWarning
  })
  process.emitWarning = (warning: unknown) => void warnings.push(warning)
  t.is(settingsOf(t, { NETPOLL_LEAK_DETECTION: 'simple' }), undefined)
  t.deepEqual(warnings, [
    'NETPOLL_LEAK_DETECTION is neither "paranoid" nor "disabled": leaks are not looked for',
  ])
})

test.serial('a host that refuses to tell them is as one without them', (t) => {
  const refusing = new Proxy<NodeJS.ProcessEnv>(
    {},
    {
      get(_variables, name) {
        if (String(name).startsWith('NETPOLL_')) throw new Error('NotCapable')
        return undefined
      },
    },
  )
  t.is(settingsOf(t, refusing), undefined)
})
