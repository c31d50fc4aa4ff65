// The few figures that one should take away.

import { ratioOfRounds } from '../questions/section.mjs'
import { format } from './format.mjs'

/** @typedef {import('../questions/section.mjs').Section} Section */

/**
 * @typedef {object} Tile
 * @property {string} title
 * @property {string} figure
 * @property {string} remark
 */

/**
 * @param {readonly Section[]} sections
 * @returns {readonly Tile[]}
 */
export function tilesOf(sections) {
  /** @type {(id: string, key: string, title: string, others: readonly string[]) => readonly Tile[]} */
  const tile = (id, key, title, others) => {
    const section = sections.find((candidate) => candidate.id === id)
    const own = section?.rows.find(({ peer }) => peer === 'netpoll')
    const unit = section?.columns.find((column) => column.key === key)?.unit
    if (section === undefined || own === undefined || unit === undefined) return []
    const remark = others.flatMap((peer) => comparison(section, own, peer, key)).join(' · ')
    return [{ title, figure: format(own.values[key], unit), remark }]
  }
  return [
    ...tile('pool-100', 'rate', 'requests/s, 100 connections', ['node', 'goNet', 'bare']),
    ...tile('mux-100', 'rate', 'requests/s, 4 connections × 25', ['node', 'nodeCorked', 'bare']),
    ...tile('half-pool-100', 'cpu', 'processor time per request at half load', ['node', 'goNet']),
    ...tile('idle-memory', 'each', 'memory of an idle connection', ['node', 'goNet']),
  ]
}

/**
 * @param {Section} section
 * @param {import('../questions/section.mjs').Row} own
 * @param {string} peer
 * @param {string} key
 */
function comparison(section, own, peer, key) {
  const other = section.rows.find((row) => row.peer === peer)
  const [figure, others] = [own.values[key], other?.values[key]]
  if (other === undefined || !figure || !others) return []
  const isFirst = section.columns[0]?.key === key
  const ratio = (isFirst ? ratioOfRounds(own, other) : null) ?? figure / others
  return [`${ratio.toFixed(2)} × ${other.label}`]
}
