// Preloaded into each process of `npm run test:leaks`: a file of tests stays until the detector has seen what it leaves behind.
// Then it looks for chunks that live although nothing is open. The detector knows of those that JavaScript knows of, and the core
// counts all of them.

import { appendFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setTimeout } from 'node:timers'

const require = createRequire(import.meta.url)
const isTestFile = /ava[\\/]lib[\\/]worker/.test(process.argv[1] ?? '')

/** An age has four looks. One before finds the fault, one after has everything collected, and one tells; and one to spare. */
const looks = 8

/** What the arena of the main thread has: the chunk that what is sent is written to. */
const kept = 1

/** A module of each copy of the package that was loaded. */
const loaded = (name) =>
  Object.keys(require.cache)
    .filter((path) => path.replaceAll('\\', '/').endsWith(`/dist/${name}.js`))
    .map((path) => require(path))

function tellLiveChunks() {
  for (const { stats } of loaded('stats/stats')) {
    const { connections, listeners, chunks } = stats()
    if (connections + listeners > 0 || chunks.live <= kept) continue
    const what = 'lives although nothing is open'
    const leak = { kind: 'chunk', what, stack: '', lines: [JSON.stringify(chunks)], program: 'its core' }
    appendFileSync(process.env.NETPOLL_LEAK_FILE, `${JSON.stringify(leak)}\n`)
  }
}

if (isTestFile) {
  // As many timers of the same time: a process that gets no time looks late, and ends as late.
  const time = Math.ceil(Number(process.env.NETPOLL_LEAK_AGE) / 4)
  const look = (left) => {
    for (const { fullCollection } of left <= 2 ? loaded('memory/minor-gc') : []) fullCollection()()
    if (left > 0) setTimeout(look, time, left - 1)
    else tellLiveChunks()
  }
  process.once('beforeExit', () => look(looks))
}
