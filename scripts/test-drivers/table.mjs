// The table of the guide, made from the results of the last full run.

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const resultsPath = fileURLToPath(new URL('results.json', import.meta.url))
const guidePath = fileURLToPath(new URL('../../docs/guides/node-streams.md', import.meta.url))
const [begin, end] = ['<!-- drivers: made by npm run test:drivers -->', '<!-- drivers: end -->']

const cells = { same: 'as over `node:net`', other: 'differs' }

/** The table, in Markdown. */
export function tableOf(results) {
  const versions = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')).dependencies
  const rows = Object.entries(results).map(
    ([name, { title, beside, note, plain, tls, core, exceptions }]) => {
      const version =
        versions[name] ?? versions[name.replace(/-(server|client)$/, '')] ?? versions[`@grpc/${name}`]
      const named = Object.entries(exceptions).map(
        ([what, why]) => `${what.replace('core', 'TLS of netpoll')}: ${why}`,
      )
      const notes = [beside && `with ${beside}`, note, ...named].filter(Boolean).join('; ')
      return `| ${title}${version === undefined ? '' : ` ${version}`} | ${cells[plain] ?? ''} | ${cells[tls] ?? ''} | ${cells[core] ?? ''} | ${notes} |`
    },
  )
  return [
    '| driver or server | plain | `node:tls` above | `tls` of netpoll | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

/** The guide with the table in its place. */
export function guideWith(results, guide = readFileSync(guidePath, 'utf8')) {
  const [before, rest] = guide.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`${guidePath} has no place for the table`)
  return `${before}${begin}\n\n${tableOf(results)}\n\n${end}${after}`
}

export function writeTable(results) {
  writeFileSync(guidePath, guideWith(results))
}
