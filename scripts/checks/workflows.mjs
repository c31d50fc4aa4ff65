// Checks what the workflows of GitHub run with: images by their digest, toolchains by their version, and nothing but
// downloads in a job that may publish.
//
//   node scripts/checks/workflows.mjs

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { report, root } from './tree.mjs'

const folder = join('.github', 'workflows')

/** Actions that a job with the right to an identity may use: they set Node.js up, and move files. */
const harmless = ['actions/setup-node', 'actions/download-artifact', 'actions/deploy-pages']

/** Commands by which code of the repository, or of what it depends on, would run. */
const runsCode =
  /\b(npx|node|tsc|cargo|rustup|docker|curl|wget|git|sudo|sh|bash|python3?)\s|\bnpm (?!view |publish )/

/** The jobs of a workflow, by name. */
function jobsOf(text) {
  const [, body = ''] = text.split(/^jobs:\n/m)
  const parts = body.split(/^ {2}([\w-]+):\n/m).slice(1)
  const jobs = new Map()
  for (let index = 0; index < parts.length; index += 2) jobs.set(parts[index], parts[index + 1])
  return jobs
}

const withoutComments = (text) => text.replaceAll(/^\s*#.*\n/gm, '')

/** Images without a digest, of `docker run`, and of a job. */
function imageProblems(text) {
  const names = text.matchAll(
    /(?<![\w/.-])[\w./-]*\b(?:node|alpine|debian|ubuntu|rust):[\w.$-]+(?:@sha256:[0-9a-f]+)?/g,
  )
  const keys = text.matchAll(/\b(?:image|container): *'?([^'\s}$]+)/g)
  const images = [...Array.from(names, ([image]) => image), ...Array.from(keys, ([, image]) => image)]
  return [...new Set(images)]
    .filter((image) => !/@sha256:[0-9a-f]{64}$/.test(image))
    .map((image) => `the image ${image} has no digest`)
}

/** Toolchains without a version. */
function toolchainProblems(text) {
  const problems = []
  for (const [, list] of text.matchAll(/rustup toolchain install ((?:(?!--)\S+ ?)+)/g)) {
    for (const name of list.trim().split(' ')) {
      if (!/^"\$\w+"$/.test(name)) problems.push(`the toolchain ${name} is not named by a variable`)
    }
  }
  if (/rustup default/.test(text)) problems.push('rustup default changes nothing beside rust-toolchain.toml')
  for (const [, name] of text.matchAll(/cargo "?\+(stable|nightly)\b/g)) {
    problems.push(`cargo +${name} has no version`)
  }
  for (const [, name, value] of text.matchAll(/^ *(RUSTUP_TOOLCHAIN|RUST_NIGHTLY): *'?([^'\n]*)'?$/gm)) {
    const isExact = name === 'RUST_NIGHTLY' ? /^nightly-\d{4}-\d\d-\d\d$/ : /^\d+\.\d+\.\d+$/
    if (!isExact.test(value)) problems.push(`${name} is ${value}, which is no version`)
  }
  if (/\bcargo\b|npm (test|run)/.test(text) && !/^ {2}RUSTUP_TOOLCHAIN:/m.test(text)) {
    problems.push('RUSTUP_TOOLCHAIN is not set')
  }
  return problems
}

/** What a job that may have an identity does beside downloads. */
function identityProblems(name, job) {
  if (!/^ +id-token: write$/m.test(job)) return []
  const problems = []
  for (const [, action] of job.matchAll(/uses: ([\w/-]+)/g)) {
    if (!harmless.includes(action)) problems.push(`${name} may have an identity, and uses ${action}`)
  }
  const commands = Array.from(
    job.matchAll(/^( +)(?:- )?run: *(\|?.*\n(?:\1 {2,}.*\n)*)/gm),
    ([, , block]) => block,
  )
  for (const line of commands.flatMap((block) => block.split('\n'))) {
    if (runsCode.test(`${line} `)) problems.push(`${name} may have an identity, and runs ${line.trim()}`)
  }
  return problems
}

/** In a release, jobs that test may take what is newest of a line; what builds and publishes may not. */
function nodeProblems(file, jobs) {
  if (file !== 'release.yml') return []
  const problems = []
  for (const [name, job] of jobs) {
    for (const [, version] of job.matchAll(/node-version: *'?([^'\n]*)'?$/gm)) {
      const isTested = /^\$\{\{ matrix\.node \}\}$/.test(version) && name === 'suite'
      if (!isTested && !/^\d+\.\d+\.\d+$/.test(version))
        problems.push(`${name} takes Node.js ${version}, which is no version`)
    }
  }
  return problems
}

/** What is wrong with the workflows of `tree`. */
export function checkWorkflows(tree) {
  return readdirSync(join(tree, folder)).flatMap((file) => {
    const text = withoutComments(readFileSync(join(tree, folder, file), 'utf8'))
    const jobs = jobsOf(text)
    const problems = [
      ...imageProblems(text),
      ...toolchainProblems(text),
      ...[...jobs].flatMap(([name, job]) => identityProblems(name, job)),
      ...nodeProblems(file, jobs),
    ]
    return problems.map((problem) => `${file}: ${problem}`)
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) report('workflows', checkWorkflows(root))
