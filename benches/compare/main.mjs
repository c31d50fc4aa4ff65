// `netpoll-bench compare`: this package beside its peers, everything in one go.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { claimsMarkdown, sectionsMarkdown } from '../report/markdown.mjs'
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
 * @param {string} out
 */
async function write(results, out) {
  await mkdir(out, { recursive: true })
  await writeFile(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`)
  const markdown = `${claimsMarkdown(results.claims)}\n\n${sectionsMarkdown(results.sections)}`
  await writeFile(join(out, 'results.md'), markdown)
  print(`\nwritten to ${out}`)
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
      await write(JSON.parse(await readFile(task.file, 'utf8')), task.out)
      return 0
    case 'measure': {
      const results = await measureAll(task.options, versions())
      print(claimsText(results.claims))
      for (const warning of results.warnings) print(`warning: ${warning}`)
      for (const problem of results.problems) print(`error: ${problem}`)
      await write(results, task.options.out)
      return results.problems.length === 0 ? 0 : 1
    }
  }
}
