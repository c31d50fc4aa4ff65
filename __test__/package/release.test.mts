import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

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
    const expected = { 'ci.yml': ['pages', 'id-token'], 'release.yml': ['id-token', 'contents'] }[name]
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
  t.regex(release, /publish:\n(?: .*\n)*? {4}needs: suite\n/)
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
