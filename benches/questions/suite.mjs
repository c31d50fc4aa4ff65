// Asks all questions in one go.

import { existsSync } from 'node:fs'

import { problems, subjectOf } from '../runner/bench.mjs'
import { Fleet } from '../runner/fleet.mjs'
import { describeMachine, NoiseCheck } from '../runner/machine.mjs'
import { PEERS } from '../runner/peers.mjs'
import { print, setProgressPrefix } from '../runner/progress.mjs'
import { sectionText } from '../report/text.mjs'
import { claims } from './claims.mjs'
import { versionOf } from './options.mjs'
import { QUESTIONS } from './questions.mjs'

/** Of whom the build before is measured, too: it may not know newer forms. @type {readonly PeerName[]} */
const IN_BOTH_BUILDS = ['netpoll', 'netpollAllocate']

/** What a family needs that may not be installed. */
const TOOLS = /** @type {Readonly<Record<string, string>>} */ ({
  bun: 'Bun',
  tokio: 'Rust',
  go: 'Go',
  netty: 'Java or Maven',
})

/** The families that cannot be measured here. */
function missingFamilies() {
  const missing = Object.values(PEERS).filter(({ needs }) => needs.some((path) => !existsSync(path)))
  const needed = missing.find(({ family }) => TOOLS[family] === undefined)
  if (needed !== undefined) {
    throw new Error(`${needed.needs.join(' and ')} not built: \`npm run bench\` builds it first`)
  }
  return [...new Set(missing.map(({ family }) => family))]
}

/** @param {Options} options @param {Readonly<Record<string, string>>} versions @returns {Promise<Results>} */
export async function measureAll(options, versions) {
  const machine = describeMachine(versionOf(options.node))
  print(machine)
  const missing = missingFamilies()
  const skipped = missing.map(
    (family) =>
      `${family}: ${TOOLS[family]} is not installed, or \`node benches/peers/build.mjs\` has not run`,
  )
  for (const line of options.scope === 'short' ? [] : skipped) print(`skipped: ${line}`)
  const noise = new NoiseCheck()
  const warnings = [await noise.before()]
  const sections = await askAll(options, missing)
  warnings.push(noise.after())
  return {
    machine,
    date: new Date().toISOString().slice(0, 10),
    method: { rounds: options.rounds, seconds: options.seconds, quick: options.quick },
    versions,
    skipped,
    warnings: warnings.filter((warning) => warning !== undefined),
    problems,
    sections,
    claims: claims(sections, options.scope),
  }
}

/** @param {Options} options @param {readonly string[]} missing Families. */
async function askAll(options, missing) {
  /** @type {Section[]} */
  const sections = []
  const fleet = new Fleet()
  const { node, before: build, peers: asked } = options
  /** @param {PeerName} peer */
  const isMeasured = (peer) => (asked?.includes(peer) ?? true) && !missing.includes(PEERS[peer].family)
  /** @param {PeerName} peer */
  const inBuilds = (peer) => {
    const subject = subjectOf(peer, { node })
    if (build === undefined || !IN_BOTH_BUILDS.includes(peer)) return [subject]
    return [subject, { ...subject, id: `${peer}Before`, label: `${subject.label}, before`, build }]
  }
  /** @type {Context} */
  const context = {
    options,
    fleet,
    sections,
    subjects: (peers) => peers.filter(isMeasured).flatMap(inBuilds),
  }
  const parts = partsOf(options)
  for (const [index, { id, ask }] of parts.entries()) {
    setProgressPrefix(`${index + 1}/${parts.length} · `)
    try {
      for (const section of await ask(context)) {
        sections.push(section)
        print(sectionText(section))
      }
    } catch (error) {
      // The others are measured all the same.
      problems.push(`${id}: ${error instanceof Error ? error.message : error}`)
    }
  }
  await fleet.stop()
  return sections
}

/** What is asked, each part once. @param {Pick<Options, 'questions' | 'sizes' | 'scope'>} options */
export function partsOf(options) {
  const asked = QUESTIONS.filter(({ name }) => options.questions.includes(name))
  const parts = asked.flatMap((question) => question.parts(options))
  return [...new Map(parts.map((part) => [part.id, part])).values()]
}
