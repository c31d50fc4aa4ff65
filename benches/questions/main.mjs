// `netpoll-bench compare`: this package beside its peers, everything in one go.

import { readFile } from 'node:fs/promises'

import { updateDocuments } from '../report/documents.mjs'
import { writeResults } from '../report/files.mjs'
import { claimsText } from '../report/text.mjs'
import { fromRoot } from '../runner/paths.mjs'
import { PEERS } from '../runner/peers.mjs'
import { print } from '../runner/progress.mjs'
import { readOptions, usage } from './options.mjs'
import { QUESTIONS } from './questions.mjs'
import { measureAll } from './suite.mjs'
import { versions } from './versions.mjs'

const KNOWN = {
  questions: QUESTIONS.map(({ name }) => name),
  peers: Object.keys(PEERS),
  out: fromRoot('benches/results'),
}

/**
 * @param {import('./suite.mjs').Results} results
 * @param {{ out: string, docs: boolean }} where
 */
async function write(results, { out, docs }) {
  await writeResults(results, out)
  print(`\nwritten to ${out}`)
  if (!docs) return
  for (const path of await updateDocuments(results, fromRoot(''))) print(`updated ${path}`)
}

/**
 * @param {readonly string[]} words The words of the command line after `compare`.
 * @returns {Promise<number>} The exit code.
 */
export async function compare(words) {
  const task = readOptions(words, KNOWN)
  switch (task.kind) {
    case 'help':
      console.log(usage(KNOWN.questions))
      return 0
    case 'list':
      console.log(`questions: ${KNOWN.questions.join(' ')}\npeers: ${KNOWN.peers.join(' ')}`)
      return 0
    case 'render':
      await write(JSON.parse(await readFile(task.file, 'utf8')), task)
      return 0
    case 'measure': {
      const results = await measureAll(task.options, versions())
      print(claimsText(results.claims))
      for (const warning of results.warnings) print(`warning: ${warning}`)
      for (const problem of results.problems) print(`error: ${problem}`)
      await write(results, task.options)
      return results.problems.length === 0 ? 0 : 1
    }
  }
}
