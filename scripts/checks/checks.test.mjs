// Each check is shown a tree with one thing wrong, and the same tree without it.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

import { checkArchitecture } from './architecture.mjs'
import { checkImports } from './imports.mjs'
import { checkLines, codeLines } from './lines.mjs'
import { isRead, problemsOf, textsOf } from './prose.mjs'

/** A folder with these files, while `use` looks at it. */
function inTree(files, use) {
  const root = mkdtempSync(join(tmpdir(), 'netpoll-checks-'))
  try {
    for (const [path, text] of Object.entries({ 'src-ts/errors.ts': '', ...files })) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return use(root)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const problems = (files, options) => inTree(files, (root) => checkImports(root, options))

const sound = {
  'src-ts/time/clock.ts': "import { NetpollError } from '../errors'\n",
  'src-ts/poller/poller.ts': "import type { Clock } from '../time/clock'\n// import '../server/server'\n",
  'src-ts/index.mts': "export * from './index.js'\n",
  'src-ts/index.ts': "export { Poller } from './poller/poller'\n",
  'src-ts/rpc/index.ts': "import { Poller } from '../index'\nexport * from './server'\n",
  'src-ts/rpc/server.ts': "import { NetpollError } from '../errors'\n",
  'src-ts/thrift/server.ts': "import { TransportServer } from '../rpc/index'\n",
}

test('a tree in order has no problems', () => {
  assert.deepEqual(problems(sound), [])
})

for (const [kind, line] of [
  ['a value', "import { poller } from '../poller/poller'"],
  ['a type', "import type { Poller } from '../poller/poller'"],
  ['a type among values', "import {\n  type Poller,\n  poller,\n} from '../poller/poller'"],
  ['an export', "export { poller } from '../poller/poller'"],
  ['a type of an import', "let poller: import('../poller/poller').Poller"],
  ['a side effect', "import '../poller/poller'"],
]) {
  test(`an import against the order is found: ${kind}`, () => {
    assert.deepEqual(problems({ ...sound, 'src-ts/memory/arena.ts': `${line}\n` }), [
      'src-ts/memory/arena.ts imports src-ts/poller/poller.ts, which comes later in the order',
    ])
  })
}

test('a circle within a folder is found, also one of types', () => {
  const circle = {
    'src-ts/time/a.ts': "import type { B } from './b'\n",
    'src-ts/time/b.ts': "import { c } from './c'\n",
    'src-ts/time/c.ts': "import { a } from './a'\n",
  }
  assert.deepEqual(problems({ ...sound, ...circle }), [
    'a circle of 3 files: src-ts/time/a.ts -> src-ts/time/b.ts -> src-ts/time/c.ts -> src-ts/time/a.ts',
  ])
  assert.deepEqual(problems({ ...sound, ...circle, 'src-ts/time/c.ts': '' }), [])
})

test('a file outside of the folders is found', () => {
  assert.deepEqual(problems({ ...sound, 'src-ts/utils.ts': '' }), [
    'src-ts/utils.ts is in no folder of the order',
  ])
})

for (const [folder, name, to] of [
  ['rpc', '../poller/poller', 'poller/poller.ts'],
  ['thrift', '../time/clock', 'time/clock.ts'],
  ['thrift', '../rpc/server', 'rpc/server.ts'],
]) {
  test(`${folder} imports no ${to}`, () => {
    assert.deepEqual(
      problems({ ...sound, [`src-ts/${folder}/client.ts`]: `import { x } from '${name}'\n` }),
      [`src-ts/${folder}/client.ts imports src-ts/${to}, which is not what a framework may import`],
    )
  })
}

test('each import that is wrong is a problem, beside each circle', () => {
  const wrong = {
    ...sound,
    'src-ts/time/a.ts': "import { b } from './b'\nimport { poller } from '../poller/poller'\n",
    'src-ts/time/b.ts': "import { a } from './a'\nimport { poller } from '../poller/poller'\n",
  }
  assert.deepEqual(problems(wrong), [
    'src-ts/time/a.ts imports src-ts/poller/poller.ts, which comes later in the order',
    'src-ts/time/b.ts imports src-ts/poller/poller.ts, which comes later in the order',
    'a circle of 2 files: src-ts/time/a.ts -> src-ts/time/b.ts -> src-ts/time/a.ts',
  ])
})

const crate = {
  'crate/src/lib.rs': 'mod a;\nmod b;\npub use a::A;\n',
  'crate/src/a/mod.rs': 'mod c;\nmod d;\nuse crate::b::{B, other};\npub use c::C;\n',
  'crate/src/a/c.rs': 'use super::d::D;\n',
  'crate/src/a/d.rs': '',
  'crate/src/b.rs': '',
}

for (const [kind, file, line] of [
  ['super', 'a/d.rs', 'use super::A;'],
  ['a group', 'a/d.rs', 'use crate::{\n    a::{\n        A,\n    },\n};'],
  ['what a module has from elsewhere', 'a/d.rs', 'use crate::A;'],
  ['a path in code', 'a/d.rs', 'fn d() {\n    crate::a::a()\n}'],
]) {
  test(`a circle of more than 3 files of a crate is found: ${kind}`, () => {
    const files = { ...crate, 'crate/src/a/mod.rs': 'mod b;\nmod c;\nuse b::B;\n', 'crate/src/b.rs': '' }
    files['crate/src/a/b.rs'] = 'use super::c::C;\n'
    const found = problems({ ...files, [`crate/src/${file}`]: `${line}\n` }, { crates: ['crate'] })
    assert.equal(found.length, 1)
    assert.match(found[0], /^a circle of 4 files: crate\/src\/a\/b\.rs -> /)
    assert.deepEqual(problems(files, { crates: ['crate'] }), [])
  })
}

test('a circle of 3 files of a crate is allowed, and tests make none', () => {
  const files = { ...crate, 'crate/src/a/d.rs': 'use super::A;\n' }
  assert.deepEqual(problems(files, { crates: ['crate'] }), [])
  files['crate/src/b.rs'] = '#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n'
  assert.deepEqual(problems(files, { crates: ['crate'] }), [])
  files['crate/src/b.rs'] = '#[cfg(test)]\nuse crate::x;\nuse crate::a::A;\n'
  assert.equal(problems(files, { crates: ['crate'] }).length, 1)
})

test('comments, empty lines and tests are no lines of code', () => {
  assert.equal(codeLines('a.ts', '/**\n * Text.\n */\n\n// Text.\nconst a = 1 // text\n  /* text */\n'), 1)
  const rust = '//! Text.\nfn a() {\n}\n\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n'
  assert.equal(codeLines('a.rs', rust), 3)
})

test('a file of more than 400 lines of code is found, and an exception that is none', () => {
  const options = { folders: ['src-ts'] }
  const files = { 'src-ts/long.ts': 'a()\n'.repeat(401), 'src-ts/short.ts': 'a()\n'.repeat(400) }
  inTree(files, (root) => {
    assert.deepEqual(checkLines(root, options), ['src-ts/long.ts has 401 lines of code, more than 400'])
    assert.deepEqual(checkLines(root, { ...options, exceptions: { 'src-ts/long.ts': 'a reason' } }), [])
    assert.equal(checkLines(root, { ...options, exceptions: { 'src-ts/short.ts': 'a reason' } }).length, 2)
  })
})

for (const [text, kind] of [
  ['Whoever waits is told.', 'a subject that is no noun'],
  ['Who accepts connections.', 'who as a noun'],
  ['It stops to listen.', 'stops to do'],
  ["A number of JavaScript's.", "of somebody's"],
  ["A buffer of the user's that is detached.", "of somebody's"],
  [`It ${'takes the next of them '.repeat(6)}.`, 'more than 25 words'],
]) {
  test(`prose: ${kind}`, () => {
    assert.deepEqual(
      problemsOf(text).map(([found]) => found),
      [kind],
    )
  })
}

test('prose that is in order has no problems', () => {
  for (const text of [
    'The peer, who reads, gets it.',
    'The server stops listening.',
    "The caller's bytes.",
    "Two of Node's threads inflate it.",
    "The `timeout` of the caller's request.",
  ])
    assert.deepEqual(problemsOf(text), [])
})

test('prose: texts are paragraphs, items, cells, comments and messages, with their lines', () => {
  const lines = (file, text) =>
    textsOf(file, text).flatMap(({ text: each, at }) => (each.trim() ? [[each.trim(), at]] : []))
  assert.deepEqual(lines('a.md', '# A\n\nOne\ntwo.\n\n- three\n- four\n'), [
    ['# A', 1],
    ['One\ntwo.', 3],
    ['- three', 6],
    ['- four', 7],
  ])
  // Code, and what a script writes between its marks, is not ours to word.
  const page =
    'One.\n\n<!-- table: begin -->\n\nWhoever.\n\n<!-- table: end -->\n\n```sh\nwhoever\n```\n\nTwo.\n'
  assert.deepEqual(
    lines('a.md', page).filter(([text]) => !text.startsWith('<!--')),
    [
      ['One.', 1],
      ['Two.', 13],
    ],
  )
  assert.deepEqual(lines('src-ts/a.ts', "a()\n/** One. */\nb('two of them')\n// Three\n// four.\n"), [
    ['One.', 2],
    ['two of them', 3],
    ['Three\n four.', 4],
  ])
})

const described = {
  'src-ts/client/pool.ts': [
    '/** Not `drained`. */\nexport class Pool {\n  static readonly #least = 1\n  readonly #called = () => {}',
    '  async #take() {\n    renew(this)\n    this.#lend()\n    return used(#least)\n  }',
    '  override close<T>(\n    when: (now: T) => void,\n  ): void {}\n  get isOpen(): boolean {}\n}',
    'export interface Stats {\n  of(one: Pool): Stats\n}\nexport let first: Pool\nexport function* all() {}\n',
  ].join('\n'),
  'crates/core/src/timer.rs':
    'pub(crate) const fn expire() {\n    wait();\n}\npub enum Slot {}\ntrait Wheel {}\nstatic mut COUNT: u8 = 1;\n',
  'crates/core/tests/wheel.rs': '',
}

for (const [text, problem] of [
  ['`src-ts/client/pool.ts` (`Pool`, `#take`), `timer.rs` (`expire`)', undefined],
  ['`client/`, `client/pool.ts`, `tests/wheel.rs`, `Pool.take`, `npm run check`, `1,024`', undefined],
  ['```text\n`gone.ts`\n```', undefined],
  ['`client/gone.ts`', 'there is no client/gone.ts'],
  ['`ool.ts`', 'there is no ool.ts'],
  ['`server/`', 'there is no server/'],
  ['`client/pool.ts` (`Pool`, `expire`)', 'client/pool.ts defines no expire'],
  ['`client/pool.ts` (`drained`)', 'client/pool.ts defines no drained'],
  ['`client/pool.ts` (`#least`, `#called`, `#take`, `close`, `isOpen`)', undefined],
  ['`client/pool.ts` (`Stats`, `of`, `first`, `all`)', undefined],
  ['`timer.rs` (`expire`, `Slot`, `Wheel`, `COUNT`)', undefined],
  // What is only used is defined elsewhere.
  ['`client/pool.ts` (`#lend`)', 'client/pool.ts defines no #lend'],
  ['`client/pool.ts` (`renew`)', 'client/pool.ts defines no renew'],
  ['`client/pool.ts` (`used`)', 'client/pool.ts defines no used'],
  ['`client/pool.ts` (`when`)', 'client/pool.ts defines no when'],
  ['`timer.rs` (`wait`)', 'timer.rs defines no wait'],
  ['it (`Pool`, `client/pool.ts`, `#take`, `timer.rs`, `expire`)', undefined],
  ['it (`client/pool.ts`, `expire`)', 'client/pool.ts defines no expire'],
  ['`Pool.give`', 'no source has Pool.give'],
  ['`poolClosed()`', 'no source has poolClosed()'],
]) {
  test(`a page names what is there: ${text}`, () => {
    const found = inTree(described, (root) => checkArchitecture(root, `# Page\n\n${text}\n`))
    assert.deepEqual(found, problem === undefined ? [] : [`docs/architecture.md:3: ${problem}`])
  })
}

test('prose: paths choose files and folders, and text that is generated is never read', () => {
  assert.ok(isRead('docs/a.md', []))
  assert.ok(isRead('docs/a.md', ['README.md', 'docs']))
  assert.ok(isRead('README.md', ['README.md']))
  assert.ok(!isRead('docs-old/a.md', ['docs']))
  assert.ok(!isRead('src-ts/a.ts', ['docs', 'README.md']))
  assert.ok(!isRead('crates/bench/THIRD-PARTY-NOTICES.md', []))
  assert.ok(!isRead('docs/a.svg', ['docs']))
})
