// Checks which files import which others: each folder of `src-ts` only from those before it in the order, types included,
// no circles, and `rpc` and `thrift` nothing but what a framework of somebody else would have.
//
//   node scripts/checks/imports.mjs [--write-known]

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { circles, edgesToOpen, wayAround, without } from './graph.mjs'
import { rustImports } from './rust.mjs'
import { report, root } from './tree.mjs'
import { typescriptImports } from './typescript.mjs'

/** Ground first: `docs/architecture.md` says why. */
export const order = [
  ...[
    'errors.ts',
    'checks/',
    'abort.ts',
    'time/',
    'native/',
    'process/',
    'memory/',
    'framing/',
    'link-buffer/',
  ],
  ...['poller/', 'connection/', 'workers/', 'server/', 'client/', 'stats/', 'index.', 'extension.ts'],
  ...['rpc/', 'thrift/'],
]

/** What is built on the package as users have it, and what it may import beside itself. */
const seam = ['errors.ts', 'checks/', 'index.ts', 'extension.ts']
const frameworks = new Map([
  ['rpc/', seam],
  ['thrift/', [...seam, 'rpc/index.ts', 'rpc/extension.ts']],
])

/** Files of a circle, at most. */
const maxCircle = { typescript: 1, rust: 3 }

const layerOf = (file) => order.findIndex((layer) => file.startsWith(`src-ts/${layer}`))

/** What is wrong with one import of `src-ts`; `undefined` if nothing is. */
function wrongWith(from, to) {
  const [own, other] = [layerOf(from), layerOf(to)]
  if (other > own) return `comes later in the order`
  const allowed = own === other ? undefined : frameworks.get(order[own])
  if (allowed === undefined || allowed.some((name) => to.startsWith(`src-ts/${name}`))) return undefined
  return 'is not what a framework may import'
}

/** All problems of a tree, beside those that are known; and the list of what would have to be known for it to have none. */
export function checkImports(tree, { crates = [], known = [] } = {}) {
  const problems = []
  const toKnow = []
  const knownEdges = new Set(known)
  const graphs = [
    { graph: typescriptImports(tree, 'src-ts'), limit: maxCircle.typescript },
    ...crates.map((crate) => ({ graph: rustImports(tree, `${crate}/src`), limit: maxCircle.rust })),
  ]
  const edges = new Set()
  const needed = new Set()
  for (const { graph, limit } of graphs) {
    const wrong = new Set()
    for (const [from, all] of graph) {
      const isTypescript = from.startsWith('src-ts/')
      if (isTypescript && layerOf(from) < 0) problems.push(`${from} is in no folder of the order`)
      for (const to of all) {
        const edge = `${from} -> ${to}`
        edges.add(edge)
        const why = isTypescript && layerOf(from) >= 0 && layerOf(to) >= 0 ? wrongWith(from, to) : undefined
        if (why === undefined) continue
        wrong.add(edge)
        if (!knownEdges.has(edge)) problems.push(`${from} imports ${to}, which ${why}`)
      }
    }
    const rest = without(graph, knownEdges)
    for (const members of circles(rest).filter(({ length }) => length > limit)) {
      problems.push(`a circle of ${members.length} files: ${wayAround(rest, members).join(' -> ')}`)
    }
    const ordered = without(graph, wrong)
    for (const edge of wrong) needed.add(edge)
    for (const edge of known) {
      const others = new Set(known.filter((each) => each !== edge))
      if (circles(without(graph, others)).some(({ length }) => length > limit)) needed.add(edge)
    }
    toKnow.push(...wrong, ...edgesToOpen(ordered, limit))
  }
  for (const edge of known) {
    if (!edges.has(edge)) problems.push(`known, but there is no such import: ${edge}`)
    else if (!needed.has(edge)) problems.push(`known, but nothing is wrong with it: ${edge}`)
  }
  return { problems, toKnow: toKnow.sort() }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const file = join(root, 'scripts/checks/known-imports.json')
  const crates = ['crates/core', 'crates/node', 'crates/bench']
  if (process.argv.includes('--write-known')) {
    const { toKnow } = checkImports(root, { crates })
    writeFileSync(file, `${JSON.stringify(toKnow, null, 2)}\n`)
  }
  const known = JSON.parse(readFileSync(file, 'utf8'))
  const { problems } = checkImports(root, { crates, known })
  report('imports', problems, `, ${known.length} known`)
}
