// One driver over one transport in a process of its own: prints what came of each trial, a line of JSON each.
//
//   node scripts/test-drivers/run.mjs <driver> <net|netpoll> <plain|tls|core>

import { endOf, nameOf, trialNames, trialsOf } from './trials.mjs'
import { streamsUsed, transportOf } from './transports.mjs'

const [name, transportName, security] = process.argv.slice(2)

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)
const stray = (error) => {
  say({ stray: nameOf(error).slice(0, 200) })
  if (process.env.DRIVERS_VERBOSE) console.error(error)
}
process.on('uncaughtException', stray)

const { default: driver } = await import(`./drivers/${name}.mjs`)
const transport = transportOf(transportName, security)
/** A service of the driver's, which the parent process ends if this one cannot. */
const started = []
const use = async (service) => {
  started.push(service)
  for (const group of service.groups) say({ group })
  return service
}
const program = await driver.prepare({ transport, use })
const trials = trialsOf(program)
for (const trial of trialNames) {
  const timed = trials[trial]().then(
    (outcome) => outcome,
    (error) => {
      if (process.env.DRIVERS_VERBOSE) console.error(error)
      return `failed: ${nameOf(error)}`
    },
  )
  let outcome = 'hangs'
  const kept = timed.then((result) => {
    outcome = result
  })
  await endOf(kept)
  say({ trial, outcome })
}
say({ trial: 'end', outcome: await endOf(program.end?.()) })
for (const service of started) service.kill()
if (transportName === 'netpoll' && streamsUsed() < (program.clients ?? 50))
  say({ stray: `${streamsUsed()} streams of netpoll were used` })
say({ over: true })
