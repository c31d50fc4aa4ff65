import type { ClusterNode } from './cluster-node'
import { hashOf, joined } from './hashing'

/**
 * Orders servers for one client (rendezvous hashing). Its subset is the first of them. Clients with other ids have others.
 * When a server comes or goes, no more than one place of a subset changes.
 */
export function rankNodes(nodes: Iterable<ClusterNode>, clientId: string): readonly ClusterNode[] {
  const client = hashOf(clientId)
  const ranked = Array.from(nodes, (node) => ({ node, score: joined(client, node.hash) }))
  ranked.sort((one, other) => other.score - one.score || (one.node.id < other.node.id ? -1 : 1))
  return ranked.map(({ node }) => node)
}

/**
 * The first `size`, and as many more as servers among them are down or out. These stay, because they are dialed until they
 * come back.
 */
export function chooseSubset(ranked: readonly ClusterNode[], size: number): ReadonlySet<ClusterNode> {
  const chosen = new Set<ClusterNode>()
  let room = size
  for (const node of ranked) {
    if (room <= 0) break
    chosen.add(node)
    if (!node.isDown && !node.ejection.isOut) room -= 1
  }
  return chosen
}
