// SVG, as text.

import { CHART_STYLE, themes } from './theme.mjs'

/** @param {string} text */
export const escapeText = (text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/**
 * An element with attributes and whatever is in it.
 *
 * @param {string} name
 * @param {Readonly<Record<string, string | number | undefined>>} attributes
 * @param {string} [content] Escaped.
 */
export function element(name, attributes, content = '') {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) => ` ${key}="${typeof value === 'number' ? rounded(value) : escapeText(String(value))}"`,
    )
    .join('')
  return content === '' ? `<${name}${written}/>` : `<${name}${written}>${content}</${name}>`
}

/**
 * @param {string} content
 * @param {{ x: number, y: number, class?: string, 'text-anchor'?: 'start' | 'middle' | 'end' }} attributes
 */
export const label = (content, attributes) => element('text', attributes, escapeText(content))

/** @param {number} value */
const rounded = (value) => String(Math.round(value * 100) / 100)

/**
 * A drawing: its parts, and how much room they take.
 *
 * @typedef {object} Drawing
 * @property {string} title For those who cannot see it.
 * @property {number} width
 * @property {number} height
 * @property {string} content
 */

/**
 * A drawing within a page, whose style it takes.
 *
 * @param {Drawing} drawing
 */
export const inPage = ({ title, width, height, content }) =>
  `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(title)}">${content}</svg>`

/**
 * A drawing as a file of its own, which follows the reader's theme.
 *
 * @param {Drawing} drawing
 */
export function asFile({ title, width, height, content }) {
  const style = `<style>${themes('.chart')}${CHART_STYLE}.ground{fill:var(--surface);stroke:var(--edge)}</style>`
  const ground = element('rect', {
    ...{ class: 'ground', x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: 12 },
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(title)}">${style}${ground}${content}</svg>\n`
}

/**
 * A drawing moved to a place.
 *
 * @param {string} content
 * @param {number} x
 * @param {number} y
 */
export const moved = (content, x, y) => element('g', { transform: `translate(${x} ${y})` }, content)
