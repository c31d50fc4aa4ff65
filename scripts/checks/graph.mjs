// Graphs of files: who imports whom, as a map from each file to the set of those that it imports.

/** Groups of files that all reach one another, each with two members at least. */
export function circles(graph) {
  const found = []
  const seen = new Map()
  const low = new Map()
  const stack = []
  const visit = (file) => {
    seen.set(file, seen.size)
    low.set(file, seen.get(file))
    stack.push(file)
    for (const next of graph.get(file) ?? []) {
      if (!seen.has(next)) visit(next)
      if (stack.includes(next)) low.set(file, Math.min(low.get(file), low.get(next)))
    }
    if (low.get(file) !== seen.get(file)) return
    const members = stack.splice(stack.indexOf(file))
    if (members.length > 1) found.push(members.sort())
  }
  for (const file of graph.keys()) if (!seen.has(file)) visit(file)
  return found
}

/** The shortest way within `members` that leads from its first file back to it. */
export function wayAround(graph, members) {
  const [start] = members
  const ways = [[start]]
  const reached = new Set()
  for (const way of ways) {
    for (const next of graph.get(way.at(-1)) ?? []) {
      if (next === start) return [...way, start]
      if (!members.includes(next) || reached.has(next)) continue
      reached.add(next)
      ways.push([...way, next])
    }
  }
  return members
}

/** The graph without some of its edges, each written as `from -> to`. */
export function without(graph, edges) {
  const entries = Array.from(graph, ([from, all]) => [
    from,
    new Set([...all].filter((to) => !edges.has(`${from} -> ${to}`))),
  ])
  return new Map(entries)
}

/** Edges without which no circle has more than `limit` files: each is the one that opens most. */
export function edgesToOpen(graph, limit) {
  const opened = new Set()
  for (;;) {
    const rest = without(graph, opened)
    const members = circles(rest).find(({ length }) => length > limit)
    if (members === undefined) break
    const inside = new Map(
      members.map((file) => [file, new Set([...rest.get(file)].filter((to) => members.includes(to)))]),
    )
    let best = { edge: '', left: Number.POSITIVE_INFINITY }
    for (const [from, all] of inside) {
      for (const to of all) {
        const edge = `${from} -> ${to}`
        const groups = circles(without(inside, new Set([edge])))
        const left = groups.reduce((sum, { length }) => sum + (length > limit ? length ** 2 : 0), 0)
        if (left < best.left) best = { edge, left }
      }
    }
    opened.add(best.edge)
  }
  // One that was opened early may have been opened by others since.
  for (const edge of [...opened]) {
    opened.delete(edge)
    if (circles(without(graph, opened)).some(({ length }) => length > limit)) opened.add(edge)
  }
  return opened
}
