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
