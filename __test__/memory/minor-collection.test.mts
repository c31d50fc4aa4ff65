// The function that collects short-lived garbage is found although other threads take V8's flag for it back.

import { createRequire } from 'node:module'

import test from 'ava'

const require = createRequire(import.meta.url)
// As the package calls it, by the module.
const v8 = require('node:v8') as { setFlagsFromString: (flags: string) => void }
const vm = require('node:vm') as { runInNewContext: (code: string) => unknown }
const { minorCollection } = require('../../dist/memory/minor-gc.js') as {
  readonly minorCollection: () => () => void
}
const { setFlagsFromString } = v8
const { runInNewContext } = vm

/** Has another thread take the flag back so many times; how often a context was asked for the function, and has given it. */
function disturb(times: number): { asked: number; found: number; collected: number } {
  const seen = { asked: 0, found: 0, collected: 0 }
  let left = times
  v8.setFlagsFromString = (flags) => {
    setFlagsFromString(flags)
    if (flags !== '--expose-gc' || left === 0) return
    left -= 1
    setFlagsFromString('--no-expose-gc')
  }
  vm.runInNewContext = (code) => {
    seen.asked += 1
    const collect = runInNewContext(code) as ((options: object) => void) | undefined
    if (collect === undefined) return undefined
    seen.found += 1
    return (options: object) => {
      seen.collected += 1
      collect(options)
    }
  }
  return seen
}

test.afterEach(() => {
  v8.setFlagsFromString = setFlagsFromString
  vm.runInNewContext = runInNewContext
})

for (const times of [0, 1, 5]) {
  test.serial(`the flag is taken back ${times} times`, (t) => {
    const seen = disturb(times)
    const collect = minorCollection()
    for (let count = 0; count < times + 3; count += 1) collect()
    t.deepEqual(seen, { asked: times + 1, found: 1, collected: 3 })
  })
}

test.serial('a host without the function is asked a few times only', (t) => {
  const seen = disturb(Number.POSITIVE_INFINITY)
  const collect = minorCollection()
  for (let count = 0; count < 100; count += 1) collect()
  t.deepEqual(seen, { asked: 16, found: 0, collected: 0 })
})
