import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import * as netpoll from '../../dist/index.mjs'
import * as cluster from '../../dist/cluster/index.mjs'
import * as rpc from '../../dist/rpc/index.mjs'
import * as thrift from '../../dist/thrift/index.mjs'
import {
  addCertificate,
  checkBlocks,
  codeBlocks,
  compileBlocks,
  documentationFiles,
  isProgram,
  promisedOutput,
  runBlock,
  sourceFiles,
} from '../support/code-blocks.mjs'
import { declareProgram } from '../support/over-tls/excluded.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = join(root, '.test', 'documentation')
const files = [...documentationFiles(root), 'CONTRIBUTING.md', 'benches/README.md', 'docs/architecture.md']
const blocks = [...files, ...sourceFiles(root)].flatMap((file) => codeBlocks(root, file))

let complaints = ''
test.before(() => {
  complaints = compileBlocks(root, folder, blocks)
})

test('every code block of the documentation compiles, as strictly as can be', (t) => {
  t.is(complaints, '')
})

test('every code block compiles for a bundler, too', (t) => {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const compilation = { tsc, resolution: 'bundler', options: { noEmit: true } } as const
  t.is(checkBlocks(`${folder}-bundler`, blocks, compilation), '')
})

for (const block of blocks.filter(isProgram)) {
  const title = `${block.file}, line ${block.line}: the code runs and prints what it says`
  declareProgram(title, block.source)
  test.serial(title, async (t) => {
    const { code, stdout, stderr } = await runBlock(block, { folder, cwd: emptyFolder(t) })
    t.is(stderr, '')
    t.is(code, 0)
    const printed = stdout.split('\n')
    for (const promised of promisedOutput(block)) {
      const at = printed.indexOf(promised)
      t.not(at, -1, `${promised} is not in:\n${stdout}`)
      printed.splice(0, at + 1)
    }
  })
}

test('an example is a program: what is in another language is none', (t) => {
  const examples = blocks.filter(({ file }) => file.startsWith('src-ts/'))
  const tags = sourceFiles(root).reduce((count, file) => count + read(file).split('* @example').length - 1, 0)
  t.is(examples.length, tags)
  for (const { file, line, language } of examples) t.is(language, 'ts', `${file}:${line}`)
})

test('each class and function that users import has an example, or a member of it has', (t) => {
  const missing = Object.entries({
    '': netpoll,
    'cluster/': cluster,
    'rpc/': rpc,
    'thrift/': thrift,
  }).flatMap(([folder, exported]) =>
    Object.keys(exported).filter((name) => {
      const definition = new RegExp(
        `^export (?:abstract )?(?:class|(?:async )?function|const) ${name}\\b`,
        'm',
      )
      const file = sourceFiles(root).find(
        (each) => (folder === '' || each.startsWith(`src-ts/${folder}`)) && definition.test(read(each)),
      )
      return file === undefined || !hasExample(read(file), definition)
    }),
  )
  t.deepEqual(missing, ['noMetadata'])
})

/** Whether the comment of a definition has an example, or one of a comment within it. */
function hasExample(source: string, definition: RegExp): boolean {
  const at = definition.exec(source)?.index ?? 0
  const comment = source.slice(0, at).split('/**').at(-1) ?? ''
  const body = /^[\s\S]*?\n\}/.exec(source.slice(at))?.[0] ?? ''
  return comment.includes('* @example') || body.includes('* @example')
}

test('code blocks are programs, or commands that there are', (t) => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  for (const { file, line, language, source } of blocks) {
    t.true(['ts', 'sh', 'text', 'json', 'thrift'].includes(language), `${file}:${line} is in ${language}`)
    if (language !== 'sh') continue
    for (const [command, , name = 'test'] of source.matchAll(/npm (run ([\w:-]+)|test\b)/g)) {
      t.true(name in scripts, `${file}:${line}: ${command}`)
    }
  }
})

/** A folder for a program to run in, with a key and a certificate. */
function emptyFolder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'netpoll-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  addCertificate(root, path)
  return path
}

test('the guide of errors has every code of ours, in order, and no other', (t) => {
  const union = /NetpollErrorCode =\n((?: {2}\| '\w+'\n)+)/.exec(read('src-ts/errors.ts'))?.[1] ?? ''
  const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code)
  const rows = [...read('docs/guides/errors.md').matchAll(/^\| `(ERR_\w+)` \|/gm)].map(([, code]) => code)
  t.true(codes.length > 20)
  t.deepEqual([...rows].sort(), [...codes].sort())
  t.deepEqual(rows, [...rows].sort())
})

test('the guide of options has every option, with the default that its type says', (t) => {
  const rows = read('docs/guides/options.md')
    .split('\n')
    .filter((line) => line.startsWith('|'))
  const sources = [
    'connection/option-types',
    'server/options',
    'client/options',
    'client/dial-options',
    'server/listener',
    'framing/options',
    'framing/message-id',
    'client/pool-options',
    'client/mux-options',
    'client/backoff',
    'thrift/limits',
    'cluster/options',
    'cluster/call',
    'cluster/dns',
    'cluster/etcd',
    'cluster/etcd-gateway',
    'cluster/registration',
  ]
  const types = [...sources, 'workers/options'].map((name) => read(`src-ts/${name}.ts`)).join('\n')
  const interfaces = types.matchAll(
    /export (?:interface|type) \w*(?:Options|Settings|Limits|Field)\b[\s\S]*?\n(?=\n)/g,
  )
  const options = [...interfaces].flatMap(([text]) => [
    ...text.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s+readonly (\w+)\?:/g),
  ])
  t.true(options.length > 50)
  for (const [, comment = '', name = ''] of options) {
    const found = rows.filter((row) => row.split('|')[1]?.includes(`\`${name}\``))
    t.not(found.length, 0, `${name} is in no table`)
    const value = /[Dd]efault (\d[\d,]*( [MG]iB)?)/.exec(comment.replaceAll(/\s+\*\s+/g, ' '))?.[1]
    if (value !== undefined)
      t.true(
        found.some((row) => row.includes(value)),
        `${name}: ${value} in ${found}`,
      )
  }
})

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
