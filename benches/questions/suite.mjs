// Asks all questions in one go.

import { problems, subjectOf } from '../runner/bench.mjs'
import { Fleet } from '../runner/fleet.mjs'
import { describeMachine, NoiseCheck } from '../runner/machine.mjs'
import { print, setProgressPrefix } from '../runner/progress.mjs'
import { sectionText } from '../report/text.mjs'
import { choosePeers, missingFamilies } from './availability.mjs'
import { claims } from './claims.mjs'
import { versionOf } from './options.mjs'
import { addBefore, QUESTIONS } from './questions.mjs'

/** @typedef {import('./section.mjs').Section} Section */

/**
 * Everything that was found, as it is written to a file.
 *
 * @typedef {object} Results
 * @property {string} machine
 * @property {string} date
 * @property {{ rounds: number, seconds: number, quick: boolean }} method
 * @property {Readonly<Record<string, string>>} versions
 * @property {readonly string[]} skipped
 * @property {readonly string[]} warnings
 * @property {readonly string[]} problems
 * @property {readonly Section[]} sections
 * @property {readonly import('./claims.mjs').Claim[]} claims
 */

/**
 * @param {import('./options.mjs').Options} options
 * @param {Readonly<Record<string, string>>} versions
 * @returns {Promise<Results>}
 */
export async function measureAll(options, versions) {
  const machine = describeMachine(versionOf(options.node))
  print(machine)
  const missing = missingFamilies()
  const skipped =
    options.scope === 'short' ? [] : [...missing].map(([family, reason]) => `${family}: ${reason}`)
  for (const line of skipped) print(`skipped: ${line}`)
  const noise = new NoiseCheck()
  const warnings = [await noise.before()]
  const sections = await askAll(options, choosePeers(options.peers, missing))
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

/**
 * @param {import('./options.mjs').Options} options
 * @param {ReturnType<typeof choosePeers>} available
 */
async function askAll(options, available) {
  /** @type {Section[]} */
  const sections = []
  const fleet = new Fleet()
  const { node, before } = options
  const context = {
    ...{ options, fleet, sections },
    subjects: (/** @type {Parameters<typeof available>[0]} */ peers) =>
      available(peers).map((peer) => subjectOf(peer, { node })),
    before: addBefore(before),
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

/**
 * What is asked, each part once.
 *
 * @param {Pick<import('./options.mjs').Options, 'questions' | 'sizes' | 'scope'>} options
 */
export function partsOf(options) {
  const asked = QUESTIONS.filter(({ name }) => options.questions.includes(name))
  const parts = asked.flatMap((question) => question.parts(options))
  return [...new Map(parts.map((part) => [part.id, part])).values()]
}
