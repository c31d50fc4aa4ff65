// Whether this package shows what it should.

import { format } from '../runner/format.mjs'
import { median } from '../runner/statistics.mjs'
import { BOUNDS, COMPARISONS, STEPS } from './goals.mjs'
import { knownRatios } from './section.mjs'

/** So many of the rounds have to say the same: four of five. */
const AGREED = 0.8

/**
 * Judges all goals, or those that are about one peer alone, where the others are left out.
 *
 * @param {readonly Section[]} sections
 * @param {Scope} [scope]
 * @returns {readonly Claim[]}
 */
export function claims(sections, scope = 'full') {
  const known = new Map(sections.map((section) => [section.id, section]))
  const comparisons = COMPARISONS.filter(({ to }) => scope !== 'short' || to.length === 1)
  return [
    ...comparisons.map((goal) => judgeComparison(goal, known.get(goal.section))),
    ...STEPS.map((goal) => judgeSteps(goal, known)),
    ...BOUNDS.map((goal) => judgeBound(goal, known.get(goal.section))),
  ]
}

/** @param {Comparison} goal @param {Section | undefined} section */
function judgeComparison({ text, of, to, plus, named, figure, limit }, section) {
  const compared = of.flatMap((peer) => {
    const all = to.flatMap((other) => {
      const ratios = ratiosBetween(section, { of: peer, to: other, plus, figure })
      const label = named ?? rowOf(section, other)?.label ?? other
      return ratios.length === 0 ? [] : [{ label, ratios, value: median(ratios) }]
    })
    return extreme(all, limit.side === 'least' ? 'lowest' : 'highest')
  })
  const [best] = extreme(compared, limit.side === 'least' ? 'highest' : 'lowest')
  if (best === undefined) return claim(text, '', limit, [])
  return claim(text, `${best.value.toFixed(2)} × ${best.label}`, limit, best.ratios)
}

/**
 * One figure as a multiple of another, round by round.
 *
 * @param {Section | undefined} section
 * @param {{ of: string, to: string, plus: string | undefined, figure: 'rate' | 'cpu' }} what
 */
function ratiosBetween(section, { of, to, plus, figure }) {
  /** @param {string} peer */
  const rounds = (peer) => {
    const row = rowOf(section, peer)
    return (figure === 'cpu' ? row?.cpuRounds : undefined) ?? row?.rounds ?? []
  }
  const added = plus === undefined ? [] : rounds(plus)
  const others = rounds(to).map((each, round) =>
    plus === undefined ? each : (each ?? Number.NaN) + (added[round] ?? Number.NaN),
  )
  return knownRatios(rounds(of), others)
}

/** @param {Steps} goal @param {ReadonlyMap<string, Section>} known */
function judgeSteps({ text, sections, of, to, plus, limit }, known) {
  const ratios = sections.map((id) => {
    const section = known.get(id)
    return {
      title: section?.title ?? '',
      ratio: median(ratiosBetween(section, { of, to, plus, figure: 'cpu' })),
    }
  })
  const rises = ratios.slice(1).flatMap(({ title, ratio }, index) => {
    const value = ratio - (ratios[index]?.ratio ?? Number.NaN)
    return Number.isFinite(value) ? [{ title, value }] : []
  })
  const [worst] = extreme(rises, 'highest')
  if (worst === undefined) return claim(text, '', limit, [])
  return claim(text, `${worst.value.toFixed(2)} at ${worst.title}`, limit, [worst.value])
}

/** @param {Bound} goal @param {Section | undefined} section */
function judgeBound({ text, of, key, limit }, section) {
  const value = rowOf(section, of)?.values[key]
  const unit = section?.columns.find((column) => column.key === key)?.unit ?? 'count'
  if (value === null || value === undefined) return claim(text, '', limit, [], unit)
  return claim(text, format(value, unit), limit, [value], unit)
}

/** @param {Section | undefined} section @param {string} peer */
const rowOf = (section, peer) => section?.rows.find((row) => row.peer === peer)

/**
 * @template {{ value: number }} Figure
 * @param {readonly Figure[]} figures
 * @param {'lowest' | 'highest'} which
 */
const extreme = (figures, which) =>
  figures
    .toSorted((one, other) => (which === 'lowest' ? one.value - other.value : other.value - one.value))
    .slice(0, 1)

/**
 * @param {string} text
 * @param {string} figure
 * @param {Limit} limit
 * @param {readonly number[]} rounds
 * @param {Unit} [unit] Of the limit; as it is by default.
 * @returns {Claim}
 */
function claim(text, figure, { side, value, goal }, rounds, unit) {
  const written = (/** @type {number} */ number) =>
    unit === undefined || unit === 'ratio' ? String(Math.round(number * 100) / 100) : format(number, unit)
  const wished = goal === undefined ? '' : `, goal ${written(goal)}`
  const needed = `at ${side} ${written(value)}${wished}`
  return { text, figure, needed, verdict: verdictOf(rounds, side, value, goal) }
}

/**
 * Whether nearly all rounds say the same.
 *
 * @param {readonly number[]} rounds
 * @param {Limit['side']} side
 * @param {number} value
 * @param {number | undefined} goal
 * @returns {Claim['verdict']}
 */
function verdictOf(rounds, side, value, goal) {
  if (rounds.length === 0) return 'not measured'
  /** @param {number} limit */
  const agreeing = (limit) =>
    rounds.filter((round) => (side === 'least' ? round >= limit : round <= limit)).length / rounds.length
  if (goal !== undefined && agreeing(goal) >= AGREED) return 'goal reached'
  if (agreeing(value) >= AGREED) return 'reached'
  return 1 - agreeing(value) >= AGREED ? 'NOT REACHED' : 'too close'
}
