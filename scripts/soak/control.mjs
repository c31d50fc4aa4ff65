// A process that only measures how much longer than alone the machine takes for work: a piece of it every two seconds.

import { obey } from './child.mjs'

/** Milliseconds of the processor that a piece takes: as many as a long turn of a server. */
const piece = 250

let worst = 1

function work() {
  const begin = performance.now()
  const before = process.cpuUsage()
  const used = () => {
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1_000
  }
  while (used() < piece);
  worst = Math.max(worst, (performance.now() - begin) / piece)
}
setInterval(work, 2_000)

obey({
  /** The worst since it was asked before; 1 is a machine that does nothing else. */
  stretch: () => {
    const since = worst
    worst = 1
    return since
  },
})
