// Checks which files import which others: each folder of `src-ts` only from those before it in the order, types included,
// no circles, and `rpc` and `thrift` nothing but what the framework of a third party would have.
//
//   node scripts/checks/imports.mjs

import { pathToFileURL } from 'node:url'

import { circles, wayAround } from './graph.mjs'
import { rustImports } from './rust.mjs'
import { report, root } from './tree.mjs'
import { typescriptImports } from './typescript.mjs'

/** Ground first: `docs/architecture.md` says why. */
export const order = [
  ...[
    'errors.ts',
    'checks/',
    'abort.ts',
    'leaks/',
    'time/',
    'native/',
    'process/',
    'memory/',
    'framing/',
    'tls/',
    'link-buffer/',
  ],
  ...['poller/', 'connection/', 'workers/', 'server/', 'client/', 'stats/', 'index.', 'extension.ts'],
  ...['cluster/', 'rpc/', 'thrift/'],
]

/** What is built on the package as users have it, and what it may import beside itself. */
const seam = ['errors.ts', 'checks/', 'index.ts', 'extension.ts']
const frameworks = new Map([
  ['cluster/', seam],
  ['rpc/', [...seam, 'cluster/index.ts', 'cluster/extension.ts']],
  ['thrift/', [...seam, 'rpc/index.ts', 'rpc/extension.ts', 'cluster/index.ts']],
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

/** All problems of a tree. */
export function checkImports(tree, { crates = [] } = {}) {
  const problems = []
  const graphs = [
    { graph: typescriptImports(tree, 'src-ts'), limit: maxCircle.typescript },
    ...crates.map((crate) => ({ graph: rustImports(tree, `${crate}/src`), limit: maxCircle.rust })),
  ]
  for (const { graph, limit } of graphs) {
    for (const [from, all] of graph) {
      if (!from.startsWith('src-ts/')) continue
      if (layerOf(from) < 0) problems.push(`${from} is in no folder of the order`)
      for (const to of all) {
        const why = layerOf(from) >= 0 && layerOf(to) >= 0 ? wrongWith(from, to) : undefined
        if (why !== undefined) problems.push(`${from} imports ${to}, which ${why}`)
      }
    }
    for (const members of circles(graph).filter(({ length }) => length > limit)) {
      problems.push(`a circle of ${members.length} files: ${wayAround(graph, members).join(' -> ')}`)
    }
  }
  return problems
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  report('imports', checkImports(root, { crates: ['crates/core', 'crates/node', 'crates/bench'] }))
}
