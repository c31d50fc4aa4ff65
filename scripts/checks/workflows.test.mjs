// The check of workflows is shown one with one thing wrong, and the same without it.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { root } from './tree.mjs'
import { checkWorkflows } from './workflows.mjs'

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`
const sound = `name: Release
env:
  RUSTUP_TOOLCHAIN: '1.95.0'
  RUST_NIGHTLY: nightly-2026-05-20
jobs:
  build:
    steps:
      - uses: actions/checkout@1
      - uses: actions/setup-node@1
        with:
          node-version: '24.22.3'
      - run: rustup toolchain install "$RUSTUP_TOOLCHAIN" --profile minimal --target "$TARGET"
      - run: cargo "+$RUST_NIGHTLY" test
      - run: docker run --rm node:24-alpine@${digest} sh build
  suite:
    strategy:
      matrix:
        include:
          - { node: '20', image: 'node:20-alpine@${digest}' }
    steps:
      - uses: actions/setup-node@1
        with:
          node-version: \${{ matrix.node }}
      - run: docker run --rm "$IMAGE" npm test
        env:
          IMAGE: \${{ matrix.image }}
  publish:
    permissions:
      id-token: write
    steps:
      - uses: actions/setup-node@1
        with:
          node-version: '24.22.3'
      - uses: actions/download-artifact@1
      # npm ci would run what others wrote.
      - name: Publish
        run: |
          while read -r archive package; do
            if [ -n "$(npm view "$package" version </dev/null)" ]; then echo "$package"; else
              npm publish "./packages/$archive" </dev/null
            fi
          done < packages/order
`

/** What is wrong with a workflow of this text. */
function problemsOf(text, name = 'release.yml') {
  const tree = mkdtempSync(join(tmpdir(), 'netpoll-workflows-'))
  try {
    mkdirSync(join(tree, '.github', 'workflows'), { recursive: true })
    writeFileSync(join(tree, '.github', 'workflows', name), text)
    return checkWorkflows(tree)
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

test('a workflow in order has no problems, and neither have those of this repository', () => {
  assert.deepEqual(problemsOf(sound), [])
  assert.deepEqual(checkWorkflows(root), [])
})

for (const [kind, before, after, problem] of [
  [
    'an image by its tag',
    `node:24-alpine@${digest}`,
    'node:24-alpine',
    /the image node:24-alpine has no digest/,
  ],
  [
    'an image of a matrix',
    `node:20-alpine@${digest}`,
    'node:20-alpine',
    /the image node:20-alpine has no digest/,
  ],
  ['an image named by a variable', `node:24-alpine@${digest}`, '"node:$NODE-alpine"', /has no digest/],
  ['a short digest', digest, 'sha256:0123', /has no digest/],
  [
    'the container of a job',
    '  suite:\n',
    '  suite:\n    container: golang\n',
    /the image golang has no digest/,
  ],
  ['the newest stable Rust', '"$RUSTUP_TOOLCHAIN" --profile', 'stable --profile', /the toolchain stable/],
  [
    'the second of two',
    '"$RUSTUP_TOOLCHAIN" --profile',
    '"$RUSTUP_TOOLCHAIN" nightly --profile',
    /the toolchain nightly/,
  ],
  ['the newest nightly', 'cargo "+$RUST_NIGHTLY"', 'cargo +nightly', /cargo \+nightly has no version/],
  ['a line in the place of a version', "'1.95.0'", "'1.95'", /RUSTUP_TOOLCHAIN is 1\.95/],
  ['a nightly without its day', 'nightly-2026-05-20', 'nightly', /RUST_NIGHTLY is nightly/],
  ['no version at all', "  RUSTUP_TOOLCHAIN: '1.95.0'\n", '', /RUSTUP_TOOLCHAIN is not set/],
  ['what rust-toolchain.toml undoes', '--target "$TARGET"', '&& rustup default stable', /rustup default/],
  ['a line of Node.js', "'24.22.3'", "'24'", /build takes Node\.js 24/],
  [
    'a checkout beside an identity',
    '      - uses: actions/download-artifact@1\n',
    '      - uses: actions/checkout@1\n',
    /uses actions\/checkout/,
  ],
  [
    'the action of a stranger',
    'actions/download-artifact@1',
    'stranger/download@1',
    /uses stranger\/download/,
  ],
  [
    'an installation beside an identity',
    '          while read',
    '          npm ci\n          while read',
    /runs npm ci/,
  ],
  [
    'a script of the package',
    '          while read',
    '          npm run build:ts\n          while read',
    /runs npm run/,
  ],
  [
    'a program of the repository',
    'npm publish "./packages/$archive"',
    'node publish.mjs',
    /runs node publish\.mjs/,
  ],
  [
    'a script of what was downloaded',
    'npm publish "./packages/$archive"',
    'sh packages/publish.sh',
    /runs sh packages/,
  ],
  [
    'a step of one line',
    '      - name: Publish\n',
    '      - run: npx tsc\n      - name: Publish\n',
    /runs npx tsc/,
  ],
]) {
  test(`found: ${kind}`, () => {
    assert.ok(sound.includes(before), 'the example has what is replaced')
    const problems = problemsOf(sound.replace(before, after))
    assert.equal(problems.length, 1, problems.join('\n'))
    assert.match(problems[0], problem)
  })
}

test('the check is part of npm run check', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.match(scripts.workflows, /scripts\/checks\/workflows\.mjs/)
  assert.match(scripts.check, /npm run workflows/)
})
