import { readdirSync, readFileSync } from 'node:fs'

import test from 'ava'

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const { guideWith } = (await import(
  new URL('../../../scripts/test-drivers/table.mjs', import.meta.url).href
)) as {
  readonly guideWith: (results: unknown, guide: string) => string
}

interface Result {
  readonly plain?: 'same' | 'other'
  readonly tls?: 'same' | 'other'
  readonly core?: 'same' | 'other'
  readonly exceptions: Readonly<Record<string, string>>
}

const results = JSON.parse(read('scripts/test-drivers/results.json')) as Readonly<Record<string, Result>>

test('the table of drivers in the guide is that of their last run', (t) => {
  const guide = read('docs/guides/node-streams.md')
  t.is(guide, guideWith(results, guide))
})

test('every driver has run, and none is other than over node:net without a reason', (t) => {
  const files = readdirSync(new URL('../../../scripts/test-drivers/drivers', import.meta.url))
  t.deepEqual(Object.keys(results).sort(), files.map((file) => file.replace(/\.mjs$/, '')).sort())
  for (const [name, { plain, tls, core, exceptions }] of Object.entries(results)) {
    t.is(plain, 'same', name)
    t.true(tls === undefined || tls === 'same', name)
    t.is(core, tls, name)
    for (const reason of Object.values(exceptions)) t.true(reason.length > 10, name)
  }
})
