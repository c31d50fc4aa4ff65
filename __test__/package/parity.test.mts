// The table of what Netpoll promises says which test holds each promise. Every one that it names has to exist.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import test from 'ava'

const root = new URL('../../', import.meta.url)
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

const testFiles = readdirSync(new URL('__test__/', root), { recursive: true, encoding: 'utf8' })

test('the tests of TypeScript that the table names exist', (t) => {
  const named = Array.from(page.matchAll(/`([\w-]+) › ([^`]+)`/g))
  t.true(named.length > 150)
  const { cases } = JSON.parse(read('testdata/link-buffer.json')) as { readonly cases: readonly Case[] }
  const tableCases = new Set(cases.map(({ name }) => name))
  const missing = named.filter(([, file = '', title = '']) => {
    const path = testFiles.find((each) => basename(each) === `${file}.test.mts`)
    if (file === 'link-buffer' && (title === '…' || tableCases.has(title))) return false
    return path === undefined || !isTitleIn(read(`__test__/${path}`), title)
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

/** Every name that users see by an entry: what it exports, and what that has. */
function namesOf(folder: string): ReadonlySet<string> {
  const index = read(`${folder}/index.d.ts`)
  const modules = Array.from(index.matchAll(/from '\.\/([\w/-]+)'/g), ([, path]) =>
    read(`${folder}/${path}.d.ts`),
  )
  const text = [index, ...modules].join('\n').replaceAll(/\/\*[\s\S]*?\*\//g, '')
  return new Set(text.match(/[A-Za-z]\w*/g))
}

const publicNames = namesOf('dist')
/** Of `netpoll/rpc`, which has what Kitex puts above Netpoll. */
const rpcNames = namesOf('dist/rpc')

/** Rows that say what something of Netpoll is here. */
function rowsOf(path: string): readonly { readonly theirs: string; readonly ours: string }[] {
  return read(path)
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
    .map((line) => line.split(' | '))
    .map(([theirs = '', ours = '']) => ({
      theirs,
      ours: path.endsWith('parity.md') ? ours : ours.replace(/ \|$/, ''),
    }))
}

const quoted = (text: string): readonly string[] =>
  Array.from(text.matchAll(/`([^`]+)`/g), ([, code = '']) => code)
const wordsOf = (text: string): readonly string[] => text.match(/[A-Za-z]\w*/g) ?? []

/** What may stand in code beside public names: words of the language, codes of the system, arguments, files, tests. */
const others =
  /^(await|for|new|false|true|undefined|null|Symbol|connection|dialer|reader|writer|server|n|b|s|ms|seconds|stream|callback|options|remain|fd|E[A-Z]+)$/

for (const path of ['docs/netpoll-parity.md', 'docs/guides/from-netpoll.md']) {
  const rows = rowsOf(path)

  test(`${path}: what is named of ours exists`, (t) => {
    t.true(rows.length > 20)
    const named = rows
      .flatMap(({ ours }) => quoted(ours))
      .filter((code) => !/ › |\.rs: |\/|\.(mts|json)$/.test(code))
      .flatMap(wordsOf)
    t.true(named.length > 60)
    t.deepEqual(
      named.filter((name) => !publicNames.has(name) && !rpcNames.has(name) && !others.test(name)),
      [],
    )
  })

  test(`${path}: what has a namesake here is not said to be missing, or something else`, (t) => {
    const wrong = rows.flatMap(({ theirs, ours }) =>
      // Prose says more about a name than that it is there.
      /^\|(\s*`[^`]+`,?)+$/.test(theirs) && !/^(above|the same)$/.test(ours)
        ? quoted(theirs)
            .map(namesake)
            .filter((name) => publicNames.has(name) && !unlike.has(name))
            .filter((name) => !new RegExp(`\\b(set)?${name}\\b`, 'i').test(ours))
            .map((name) => `${theirs}: ${name}`)
        : [],
    )
    t.deepEqual(wrong, [])
  })
}

/** What a setting, function or field of Netpoll would be called here: `SetLoggerOutput(writer)` would be `logger`. */
function namesake(code: string): string {
  const [, base = ''] = /(?:^|\.)(?:Set|With)?([A-Z]\w*?)(?:Output)?(?:[({].*)?$/.exec(code) ?? []
  return base.charAt(0).toLowerCase() + base.slice(1)
}

/** What has the name of something of Netpoll, and is something else: an option of `listen`, a member of the duplex. */
const unlike: ReadonlySet<string> = new Set(['fd', 'bufferSize'])
