// A fixed rate: the server sleeps and wakes between small batches, which costs more for each request than full speed.
// Latency counts from when a request was due, so that a stall is charged for all who had to wait in it (no coordinated
// omission).

import { roundOf, interleave } from '../runner/rounds.mjs'
import { measureServers } from './server-test.mjs'
import { peersOf, scenarioOf, TIMEOUT } from './scenarios.mjs'
import { COLUMNS, sectionOf } from './section.mjs'

/** Whose load it is, and whose rate half load is half of. */
const FULL = 'pool-100'
/** Requests a second, for all alike. */
const FIXED = 36_000

/** @type {readonly Column[]} */
const SHOWN = [
  COLUMNS.cpu,
  { key: 'asked', label: 'asked/s', unit: 'rate' },
  { ...COLUMNS.rate, label: 'answered/s' },
  ...[COLUMNS.p50, COLUMNS.p99, COLUMNS.p999],
]

/** Half of what each server reaches. @param {Context} context */
export async function measureHalfLoad(context) {
  const known = context.sections.find(({ id }) => id === FULL)
  const full = known ?? (await measureServers(scenarioOf(FULL), context))
  const rates = new Map(full.rows.map(({ peer, values }) => [peer, (values['rate'] ?? 0) / 2]))
  return measureRates(`half-${FULL}`, '100 connections at half of what each server reaches', rates, context)
}

/** The same rate for all. @param {Context} context */
export async function measureFixedLoad(context) {
  const rates = new Map(chosen(context).map(({ id }) => [id, FIXED]))
  return measureRates('half-fixed', '100 connections, 36,000 requests a second', rates, context)
}

/** @param {Context} context */
function chosen({ options, subjects }) {
  return subjects(peersOf(scenarioOf(FULL), options.scope))
}

/**
 * @param {string} id
 * @param {string} title
 * @param {ReadonlyMap<string, number>} rates By server.
 * @param {Context} context
 */
async function measureRates(id, title, rates, context) {
  const { options, fleet } = context
  const { transport, shape } = scenarioOf(FULL)
  // A server that failed at full speed has no rate to halve.
  const subjects = chosen(context).filter((subject) => (rates.get(subject.id) ?? 0) > 0)
  const { seconds, warmUp } = options
  const runs = (await fleet.benches(transport, subjects)).map((bench) => ({
    subject: bench.subject,
    measure: async () => {
      const rate = Math.round(rates.get(bench.subject.id) ?? Number.NaN)
      const round = roundOf(await bench.drive({ shape, seconds, warmUp, rate, timeout: TIMEOUT }))
      return round && { ...round, figures: { ...round.figures, asked: rate } }
    },
  }))
  const about = 'Requests are due on a fixed schedule; latency counts from when they were due.'
  const head = { id, group: 'Half load', title, about, columns: SHOWN }
  return sectionOf(head, await interleave(`half load · ${title}`, runs, options.rounds))
}
