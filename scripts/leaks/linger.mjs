// Preloaded into each process of `npm run test:leaks`: a file of tests stays until the detector has seen what it leaves behind.

import { setTimeout } from 'node:timers'

const isTestFile = /ava[\\/]lib[\\/]worker/.test(process.argv[1] ?? '')

/** An age has four looks. One before finds the fault, one after has everything collected, and one tells; and one to spare. */
const looks = 8

if (isTestFile) {
  // As many timers of the same time: a process that gets no time looks late, and ends as late.
  const time = Math.ceil(Number(process.env.NETPOLL_LEAK_AGE) / 4)
  const look = (left) => {
    if (left > 0) setTimeout(look, time, left - 1)
  }
  process.once('beforeExit', () => look(looks))
}
