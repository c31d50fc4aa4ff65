// The table of what Netpoll promises says which test holds each promise. Every one that it names has to exist.

import { existsSync, readFileSync } from 'node:fs'
import test from 'ava'

const root = new URL('../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')
/** Without what stands before the first heading, which says how tests are named. */
const page = read('docs/netpoll-parity.md').replace(/^.*?\n## /s, '')

/** A title as it stands in the source: text, or a template, whose gaps are filled with text of the same file. */
function titlesOf(source: string): RegExp[] {
  const call = /\btest(?:\.serial)?\(\s*(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"|`([^`]*)`)/g
  return Array.from(source.matchAll(call), ([, single, double, template]) => {
    const parts = (single ?? double ?? template ?? '').replaceAll("\\'", "'").split(/\$\{[^}]*\}/)
    return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('(.+)')}$`)
  })
}

function isTitleIn(source: string, title: string): boolean {
  return titlesOf(source).some((pattern) => {
    const gaps = pattern.exec(title)?.slice(1)
    return gaps?.every((gap) => source.includes(gap)) === true
  })
}

interface Case {
  readonly name: string
}

test('the tests of TypeScript that the table names exist', (t) => {
  const named = Array.from(page.matchAll(/`([\w-]+) › ([^`]+)`/g))
  t.true(named.length > 150)
  const { cases } = JSON.parse(read('testdata/link-buffer.json')) as { readonly cases: readonly Case[] }
  const tableCases = new Set(cases.map(({ name }) => name))
  const missing = named.filter(([, file = '', title = '']) => {
    const path = `__test__/${file}.test.mts`
    if (file === 'link-buffer' && (title === '…' || tableCases.has(title))) return false
    return !existsSync(new URL(path, root)) || !isTitleIn(read(path), title)
  })
  t.deepEqual(
    missing.map(([name]) => name),
    [],
  )
})

test('the tests of the core that the table names exist', (t) => {
  const named = Array.from(page.matchAll(/`(\w+\.rs): (\w+)`/g))
  t.true(named.length > 10)
  const missing = named.filter(([, file = '', name = '']) => {
    const path = `crates/core/tests/${file}`
    return !existsSync(new URL(path, root)) || !new RegExp(`#\\[test\\]\\s+fn ${name}\\(`).test(read(path))
  })
  t.deepEqual(
    missing.map(([name]) => name),
    [],
  )
})

test('the files that the table names exist', (t) => {
  const named = Array.from(page.matchAll(/`((?:testdata|__test__|crates)\/[\w./-]+)`/g))
  t.true(named.length > 0)
  for (const [, path = ''] of named) t.true(existsSync(new URL(path, root)), path)
})
