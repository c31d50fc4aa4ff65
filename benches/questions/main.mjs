// A run of the benchmark: reads what is asked, measures it, and says what was found.

import { readFile } from 'node:fs/promises'

import { claimsText } from '../report/text.mjs'
import { fromRoot } from '../runner/paths.mjs'
import { PEERS } from '../runner/peers.mjs'
import { print } from '../runner/progress.mjs'
import { FORMS } from '../servers/forms.mjs'
import { readOptions, usage, versionOf } from './options.mjs'
import { PRESETS } from './presets.mjs'
import { QUESTIONS } from './questions.mjs'
import { measureAll } from './suite.mjs'
import { versions } from './versions.mjs'

const KNOWN = { questions: QUESTIONS.map(({ name }) => name), peers: Object.keys(PEERS) }

/**
 * @param {Results} results
 * @param {{ out: string | undefined, docs: boolean }} where
 * @param {'kept' | 'gone'} others What becomes of what the documentation shows beside these results.
 */
async function write(results, { out, docs }, others) {
  // Charts come from libraries that take their time to load.
  if (out !== undefined) {
    const { writeResults } = await import('../report/files.mjs')
    await writeResults(results, out)
    print(`\nwritten to ${out}`)
  }
  if (!docs) return
  const { updateDocuments } = await import('../report/documents.mjs')
  for (const path of await updateDocuments(results, fromRoot(''), others)) print(`updated ${path}`)
}

/**
 * @param {Preset} preset
 * @param {readonly string[]} words The words of the command line after the name of the preset.
 * @returns {Promise<number>} The exit code.
 */
export async function run(preset, words) {
  const task = readOptions(words, preset, KNOWN)
  switch (task.kind) {
    case 'help':
      console.log(usage(preset, KNOWN.questions))
      return 0
    case 'list':
      console.log(`questions: ${KNOWN.questions.join(' ')}\npeers: ${KNOWN.peers.join(' ')}\nforms:`)
      for (const { label, about } of Object.values(FORMS)) console.log(`  ${label}: ${about}`)
      return 0
    case 'render':
      await write(JSON.parse(await readFile(task.file, 'utf8')), task, 'gone')
      return 0
    case 'measure': {
      const results = await measureAll(task.options, versions(versionOf(task.options.node)))
      const judged = results.claims.filter(({ verdict }) => verdict !== 'not measured')
      if (judged.length > 0) print(claimsText(judged))
      for (const warning of results.warnings) print(`warning: ${warning}`)
      for (const problem of results.problems) print(`error: ${problem}`)
      const { questions, peers } = task.options
      const isWhole = preset === PRESETS.compare && preset.questions === questions && peers === undefined
      await write(results, task.options, isWhole ? 'gone' : 'kept')
      return results.problems.length === 0 ? 0 : 1
    }
  }
}
