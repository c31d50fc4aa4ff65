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

const compare = (...words: readonly string[]) =>
  spawnSync(process.execPath, [join(root, 'benches', 'cli.mjs'), 'compare', ...words], {
    encoding: 'utf8',
  })

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
    ['unix-pool-100', 'unix-mux-100', 'idle-memory'],
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

test('compare says what there is to ask, and refuses what there is not', (t) => {
  const list = compare('--list')
  t.is(list.status, 0)
  t.regex(list.stdout, /^questions: pool idle mux /)
  t.regex(list.stdout, /^peers: netpoll /m)
  const wrong = compare('--only', 'nothing')
  t.is(wrong.status, 1)
  t.is(wrong.stderr, 'netpoll-bench: there is no question nothing\n')
})
