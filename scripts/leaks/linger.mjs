// Preloaded into each process of `npm run test:leaks`: a file of tests stays until the detector has seen what it leaves behind.

const isTestFile = /ava[\\/]lib[\\/]worker/.test(process.argv[1] ?? '')

if (isTestFile) {
  // Two looks beyond the age, and one for the collection between them: an age has four.
  const age = Number(process.env.NETPOLL_LEAK_AGE)
  process.once('beforeExit', () => setTimeout(() => {}, 2 * age))
}
