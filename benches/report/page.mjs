// One page that carries everything: charts, tables, and what is to be concluded.

import { chartsOf } from './charts.mjs'
import { format } from './format.mjs'
import { PAGE_STYLE } from './page-style.mjs'
import { escapeText, inPage } from './svg.mjs'
import { tilesOf } from './tiles.mjs'

/** @typedef {import('../questions/section.mjs').Section} Section */
/** @typedef {import('../questions/claims.mjs').Claim} Claim */
/** @typedef {import('../questions/suite.mjs').Results} Results */

/** @param {Results} results */
export function page(results) {
  const groups = [...new Set(results.sections.map(({ group }) => group))].map((title, index) => ({
    id: `group-${index}`,
    title,
    sections: results.sections.filter(({ group }) => group === title),
  }))
  const links = groups.map(({ id, title }) => `<a href="#${id}">${escapeText(title)}</a>`)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>netpoll beside its peers</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<div class="layout">
<nav aria-label="Questions"><strong>netpoll-bench</strong><a href="#shown">Goals and verdicts</a>${links.join('')}<a href="#method">Method</a></nav>
<main>
${heading(results)}
${claimsPart(results.claims)}
${groups.map(groupPart).join('\n')}
${methodPart(results)}
</main>
</div>
</body>
</html>
`
}

/** @param {Results} results */
function heading({ machine, date, method, sections, warnings, problems }) {
  const length = `${method.rounds} interleaved rounds of ${method.seconds} s each`
  const quick = method.quick ? ['a quick run, to see that everything runs: no figure means anything'] : []
  const told = [...quick, ...warnings, ...problems].map(warning)
  const tiles = tilesOf(sections).map(
    ({ title, figure, remark }) =>
      `<div class="tile"><span>${escapeText(title)}</span><b>${escapeText(figure)}</b><span>${escapeText(remark)}</span></div>`,
  )
  const kinds = [
    ['ours', 'netpoll, inline: the default'],
    ['variant', 'netpoll, other ways to run'],
    ['peer', 'peers with a garbage collector'],
    ['ceiling', 'ceilings: no garbage collector'],
  ].map(([name, text]) => `<span><i style="background:var(--${name})"></i>${text}</span>`)
  return `<h1>netpoll beside its peers</h1>
<p class="lead">${escapeText(machine)}</p>
<p class="lead">${length}, ${date}. Lines on bars reach from the lowest to the highest round.</p>
${told.join('')}
<div class="tiles">${tiles.join('')}</div>
<div class="key">${kinds.join('')}</div>`
}

/** @param {string} text */
const warning = (text) => `<p class="warning">${escapeText(text)}</p>`

const LOOKS = { reached: 'reached', 'NOT REACHED': 'missed', 'too close': 'open', 'not measured': 'open' }
const MARKS = { reached: '✓', 'NOT REACHED': '✗', 'too close': '~', 'not measured': '·' }

/** @param {readonly Claim[]} claims */
function claimsPart(claims) {
  const rows = claims.map(
    ({ text, figure, needed, verdict }) =>
      `<tr><td>${escapeText(text)}</td><td>${escapeText(figure)}</td><td>${escapeText(needed)}</td><td class="text verdict ${LOOKS[verdict]}">${MARKS[verdict]} ${escapeText(verdict.toLowerCase())}</td></tr>`,
  )
  return `<h2 id="shown">Goals and verdicts</h2>
<div class="card scroll"><table class="claims"><thead><tr><th></th><th>measured</th><th>needed</th><th class="text">verdict</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

/** @param {{ id: string, title: string, sections: readonly Section[] }} group */
function groupPart({ id, title, sections }) {
  const inputs = sections.map(
    (section, index) =>
      `<input type="radio" name="${id}" id="${id}-${index}"${index === 0 ? ' checked' : ''} aria-label="${escapeText(section.title)}">`,
  )
  const names = sections.map(
    (section, index) => `<label for="${id}-${index}">${escapeText(section.title)}</label>`,
  )
  const panels = sections.map((section) => `<div class="panel">${sectionPart(section)}</div>`)
  return `<section id="${id}"><h2>${escapeText(title)}</h2>
<div class="tabs">${inputs.join('')}<div class="names">${names.join('')}</div><div class="panels">${panels.join('')}</div></div></section>`
}

/** @param {Section} section */
function sectionPart(section) {
  const charts = chartsOf(section).map(({ drawing }) => `<div class="card">${inPage(drawing)}</div>`)
  return `<p class="about">${escapeText(section.about)}</p>
${section.warnings.map(warning).join('')}
<div class="charts">${charts.join('')}</div>
<details><summary>All figures</summary><div class="scroll">${tableOf(section)}</div></details>`
}

/** @param {Section} section */
function tableOf({ columns, rows }) {
  const head = columns.map(({ label }) => `<th>${escapeText(label)}</th>`)
  const body = rows.map(({ peer, label, values, spread, remark }) => {
    const cells = columns.map(({ key, unit }) => `<td>${escapeText(format(values[key], unit))}</td>`)
    const own = peer === 'netpoll' ? ' class="own"' : ''
    return `<tr${own}><td>${escapeText(label)}</td>${cells.join('')}<td>${format(spread, 'share')}</td><td class="text">${escapeText(remark)}</td></tr>`
  })
  return `<table><thead><tr><th></th>${head.join('')}<th>spread</th><th class="text">bottleneck</th></tr></thead><tbody>${body.join('')}</tbody></table>`
}

/** @param {Results} results */
function methodPart({ versions, skipped }) {
  const list = Object.entries(versions).map(
    ([name, version]) => `<dt>${escapeText(name)}</dt><dd>${escapeText(version)}</dd>`,
  )
  const missing = skipped.map((line) => warning(`skipped: ${line}`))
  return `<footer id="method"><h2>Method</h2>
<p>Servers take turns in short rounds on one core, the load client on another; a figure is the median of its rounds. Requests are 1 KiB in frames of a 4-byte length unless a title says otherwise; each has a second. Every reply is made anew: its first word is inverted, which the client checks. docs/benchmarks.md has the rest.</p>
${missing.join('')}<dl>${list.join('')}</dl></footer>`
}
