// One page that carries everything: charts, tables, and what is to be concluded. It is the Markdown of the results with
// charts in it, which `marked` makes HTML of.

import { chartsOf, chartsOfGroup } from './charts.mjs'
import { FONTS, themes } from './drawing.mjs'
import {
  claimsMarkdown,
  escapeText,
  groupsOf,
  sectionHead,
  sectionNotes,
  sectionTable,
  sizesMarkdown,
} from './markdown.mjs'

const STYLE = `
${themes(':root')}
body{max-width:76rem;margin:0 auto;padding:2rem 1.5rem 4rem;background:var(--page);color:var(--ink);font:16px/1.55 ${FONTS}}
a{color:var(--ours)}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem}
h1,h2{letter-spacing:-.01em}
h2{margin-top:3rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,34rem),1fr));gap:1rem}
.chart{width:100%;height:auto;border:1px solid var(--edge);border-radius:.75rem}
blockquote{margin:.8rem 0;padding:.1rem .9rem;border-left:3px solid var(--doubt);color:var(--muted)}
details{margin:.8rem 0;overflow-x:auto}
summary{cursor:pointer;color:var(--muted)}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:.38rem .7rem;border-bottom:1px solid var(--edge);white-space:nowrap}
th{color:var(--muted);font-weight:500}
td:first-child{white-space:normal}
`

/** @param {Results} results */
export async function page(results) {
  const { marked } = await import('marked')
  const groups = groupsOf(results.sections).map((group, index) => ({ ...group, id: `group-${index}` }))
  const links = groups.map(({ id, title }) => `<a href="#${id}">${escapeText(title)}</a>`)
  const body = [
    introduction(results),
    `<nav>${links.join(' ')}</nav>`,
    verdicts(results),
    ...groups.map(groupPart),
  ]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>netpoll beside its peers</title>
<style>${STYLE}</style>
</head>
<body>
${marked.parse(body.join('\n\n'))}
</body>
</html>
`
}

/** @param {Results} results */
function introduction({ machine, date, method, versions, skipped, warnings, problems }) {
  const quick = method.quick ? ['a quick run, to see that everything runs: no figure means anything'] : []
  const told = [...quick, ...warnings, ...problems, ...skipped.map((line) => `skipped: ${line}`)]
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [
    '# netpoll beside its peers',
    escapeText(`${machine}; ${method.rounds} interleaved rounds of ${method.seconds} s each, ${date}.`),
    escapeText(`${list.join(', ')}.`),
    'Servers take turns in short rounds on one core, the load client on another; a figure is the median of its rounds. Lines on bars reach from the lowest to the highest round. docs/benchmarks.md has the rest.',
    ...told.map((line) => `> ${escapeText(line)}`),
  ].join('\n\n')
}

/** @param {Results} results */
const verdicts = ({ claims }) => `## Goals and verdicts\n\n${claimsMarkdown(claims)}`

/** @param {{ id: string, title: string, members: readonly Section[] }} group */
function groupPart({ id, title, members }) {
  const sized = members.filter(({ size }) => size !== undefined)
  const others = members.filter(({ size }) => size === undefined)
  return [
    `<h2 id="${id}">${escapeText(title)}</h2>`,
    figure(chartsOfGroup(members)),
    ...(sized.length === 0 ? [] : [details(sizesMarkdown(sized))]),
    ...others.flatMap((section) => [
      sectionHead(section),
      sectionNotes(section),
      figure(chartsOf(section)),
      details(sectionTable(section)),
    ]),
  ].join('\n\n')
}

/** @param {readonly { svg: string }[]} charts */
const figure = (charts) =>
  charts.length === 0 ? '' : `<div class="charts">${charts.map(({ svg }) => svg.trim()).join('')}</div>`

/** @param {string} markdown */
const details = (markdown) => `<details><summary>All figures</summary>\n\n${markdown}\n\n</details>`
