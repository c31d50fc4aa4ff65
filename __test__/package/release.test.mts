import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const { version, napi, engines } = JSON.parse(read('package.json')) as {
  readonly version: string
  readonly napi: { readonly targets: readonly string[] }
  readonly engines: { readonly node: string }
}
const workflows = readdirSync(join(root, '.github/workflows')).map(
  (name) => [name, read(`.github/workflows/${name}`)] as const,
)
const release = read('.github/workflows/release.yml')

test('actions are pinned by the hash of a commit, beside the version that it is', (t) => {
  for (const [name, text] of workflows) {
    for (const [, used = ''] of text.matchAll(/uses: (.*)/g)) {
      t.regex(used, /^actions\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, name)
    }
  }
})

test('workflows may read, and only the jobs that publish may do more', (t) => {
  for (const [name, text] of workflows) {
    t.regex(text, /^permissions:\n {2}contents: read$/m, name)
    const granted = [...text.matchAll(/^ {6}([\w-]+): write$/gm)].map(([, right]) => right)
    const expected = {
      'ci.yml': ['pages', 'id-token'],
      'release.yml': ['id-token', 'contents'],
      'fuzz.yml': [],
    }[name]
    t.deepEqual(granted, expected, name)
  }
  // What a job leaves in the checkout's configuration, later steps could use.
  for (const [name, text] of workflows) {
    const checkouts = text.match(/uses: actions\/checkout@/g)?.length
    t.is(text.match(/persist-credentials: false/g)?.length, checkouts, name)
  }
})

test('a release builds for every target, and runs the suite on every binary', (t) => {
  for (const target of napi.targets) {
    const jobs = [...release.matchAll(new RegExp(`target: ${target}, os: ([\\w.-]+)`, 'g'))]
    t.is(jobs.length, 2, target)
    t.regex(release, new RegExp(`^ {10}- ${target}$`, 'm'))
  }
  t.regex(release, /pack:\n(?: .*\n)*? {4}needs: suite\n/)
  t.regex(release, /publish:\n(?: .*\n)*? {4}needs: pack\n/)
  t.false(release.includes('NPM_TOKEN'))
})

test('the oldest and the newest supported Node.js are tested, by CI and by the release', (t) => {
  const ci = read('.github/workflows/ci.yml')
  t.regex(ci, /node: \['20\.19', '22', '24', '26'\]/)
  t.regex(release, /node: \['20\.19', '26'\]/)
  t.is(engines.node, '>=20.17.0')
})

test('crates and packages share one version, and a tag must be it', (t) => {
  const metadata = execFileSync('cargo', ['metadata', '--no-deps', '--format-version', '1', '--offline'], {
    cwd: root,
    encoding: 'utf8',
  })
  for (const crate of (JSON.parse(metadata) as { packages: { name: string; version: string }[] }).packages) {
    t.is(crate.version, version, crate.name)
  }
  const notes = join(root, 'scripts/package/release-notes.mjs')
  const { status, stderr } = spawnSync(process.execPath, [notes, 'v9.9.9'], { encoding: 'utf8' })
  t.is(status, 1)
  t.true(stderr.includes(`the tag is v9.9.9, and the version in package.json ${version}`), stderr)
})

/** Runs the commands that publish, with an npm that notes how it was called; `fails` is an archive that it refuses. */
function publish(t: ExecutionContext, published: readonly string[], fails = 'none') {
  const [, block = ''] = /^ {2}publish:\n[\s\S]*?^ {8}run: \|\n((?: {10}.*\n)+)/m.exec(release) ?? []
  const folder = mkdtempSync(join(tmpdir(), 'netpoll-publish-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'packages'))
  writeFileSync(join(folder, 'packages', 'order'), 'a.tgz a@1\nb.tgz @scope/b@1\nc.tgz c@1\n')
  const answers = published.map((name) => `${name}) echo 1 ;;`).join(' ')
  // It reads its input, as npm may: the list is not its to read.
  const npm = `#!/bin/sh\ncat\nif [ "$1" = view ]; then case "$2" in ${answers} *) exit 1 ;; esac; exit; fi
echo "$@" >> calls\n[ "$2" != ./packages/${fails} ]\n`
  writeFileSync(join(folder, 'npm'), npm, { mode: 0o755 })
  const env = { PATH: `${folder}:${process.env['PATH']}` }
  const { status, stdout } = spawnSync('bash', ['-e', '-c', block], { cwd: folder, env, encoding: 'utf8' })
  const calls = existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8') : ''
  return { status, stdout, calls: calls.trim().split('\n').filter(Boolean) }
}

const call = (archive: string): string => `publish ./packages/${archive} --access public --ignore-scripts`

test('packages are published in their order', (t) => {
  t.deepEqual(publish(t, []).calls, ['a.tgz', 'b.tgz', 'c.tgz'].map(call))
})

test('a release that broke off publishes what is left', (t) => {
  const { status, stdout, calls } = publish(t, ['a@1', '@scope/b@1'])
  t.is(status, 0)
  t.deepEqual(calls, [call('c.tgz')])
  t.is(stdout, 'a@1 is published already\n@scope/b@1 is published already\n')
})

test('nothing is published behind a package that was refused', (t) => {
  const { status, calls } = publish(t, [], 'b.tgz')
  t.not(status, 0)
  t.deepEqual(calls, ['a.tgz', 'b.tgz'].map(call))
})
