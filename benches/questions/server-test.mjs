// Server test: one load client, every server, as fast as it can.

import { measureLoads } from '../runner/rounds.mjs'
import { ALONE, peersOf, TIMEOUT } from './scenarios.mjs'
import { sectionOf, withRatios } from './section.mjs'

/** @param {Scenario} scenario @param {Context} context @returns {Promise<Section>} */
export async function measureServers(scenario, { options, fleet, subjects }) {
  const { id, group, title, about, columns, transport, shape } = scenario
  const benches = await fleet.benches(transport, subjects(peersOf(scenario, options.scope)))
  // A connection that comes and goes, or speaks HTTP, is no request with a time limit.
  const timeout = shape.protocol === 'frames' ? TIMEOUT : undefined
  const { seconds } = options
  // Sessions that are to be resumed are gathered in the warm-up; OpenSSL gives no more with a resumed one.
  const gathers = shape.protocol === 'churn' && shape.resumes === true
  const warmUp = gathers ? Math.max(2 * seconds, options.warmUp) : options.warmUp
  /** @type {(bench: import('../runner/bench.mjs').Bench) => Load} */
  const loadOf = ({ subject }) => ({
    shape: subject.peer === ALONE ? withoutIdle(shape) : shape,
    seconds,
    warmUp,
    timeout,
  })
  const measured = await measureLoads(`${group} · ${title}`, benches, loadOf, options)
  return withRatios(sectionOf({ id, group, title, about, columns }, measured))
}

/** The same without connections that send nothing. @param {Shape} shape @returns {Shape} */
function withoutIdle(shape) {
  return 'idle' in shape ? { ...shape, idle: 0 } : shape
}
