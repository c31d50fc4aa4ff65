// How the page looks.

import { CHART_STYLE, FONTS, themes } from './theme.mjs'

/** Tabs without a script: as many as a group may have. */
const MAX_TABS = 12

const TABS = Array.from({ length: MAX_TABS }, (_, index) => index + 1)
const shown = TABS.map((tab) => `.tabs>input:nth-of-type(${tab}):checked~.panels>.panel:nth-child(${tab})`)
const chosen = TABS.map((tab) => `.tabs>input:nth-of-type(${tab}):checked~.names>label:nth-child(${tab})`)
const focused = TABS.map(
  (tab) => `.tabs>input:nth-of-type(${tab}):focus-visible~.names>label:nth-child(${tab})`,
)

export const PAGE_STYLE = `
${themes(':root')}
${CHART_STYLE}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 ${FONTS}}
a{color:var(--ours)}
.layout{display:grid;grid-template-columns:15rem minmax(0,1fr);max-width:92rem;margin:0 auto}
nav{position:sticky;top:0;align-self:start;max-height:100vh;overflow:auto;padding:2rem 1rem 2rem 1.5rem;font-size:.9rem}
nav strong{display:block;margin-bottom:.75rem;font-size:1rem}
nav a{display:block;padding:.3rem .6rem;border-radius:.4rem;color:var(--muted);text-decoration:none}
nav a:hover{background:var(--surface);color:var(--ink)}
main{padding:2rem 1.5rem 4rem;min-width:0}
h1{margin:0 0 .3rem;font-size:2rem;line-height:1.2;letter-spacing:-.02em}
h2{margin:3rem 0 .4rem;font-size:1.35rem;letter-spacing:-.01em}
.lead,.about,footer{color:var(--muted)}
.lead{max-width:60rem;margin:.2rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(14rem,1fr));gap:1rem;margin:1.5rem 0}
.tile,.card{background:var(--surface);border:1px solid var(--edge);border-radius:.75rem}
.tile{padding:1rem 1.2rem}
.tile b{display:block;font-size:1.75rem;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile span{display:block;color:var(--muted);font-size:.88rem}
.key{display:flex;flex-wrap:wrap;gap:.4rem 1.2rem;color:var(--muted);font-size:.88rem}
.key i{display:inline-block;width:.85rem;height:.85rem;margin-right:.4rem;border-radius:.2rem;vertical-align:-.08rem}
.tabs>input{position:absolute;opacity:0;pointer-events:none}
.names{display:flex;flex-wrap:wrap;gap:.35rem;margin:.6rem 0 .9rem}
.names label{padding:.28rem .8rem;border:1px solid var(--edge);border-radius:2rem;background:var(--surface);color:var(--muted);font-size:.88rem;cursor:pointer}
.names label:hover{color:var(--ink)}
.panel{display:none}
${shown.join(',')}{display:block}
${chosen.join(',')}{background:var(--ours);border-color:var(--ours);color:#fff}
${focused.join(',')}{outline:2px solid var(--ink);outline-offset:2px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:1rem}
.card{padding:.4rem}
.chart{display:block;width:100%;height:auto}
.warning{margin:.8rem 0;padding:.55rem .9rem;border-left:3px solid var(--doubt);border-radius:.3rem;background:var(--surface);color:var(--muted);font-size:.9rem}
details{margin:.8rem 0}
summary{cursor:pointer;color:var(--muted);font-size:.9rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:.38rem .7rem;border-bottom:1px solid var(--edge);text-align:right;white-space:nowrap}
th{color:var(--muted);font-weight:500}
th:first-child,td:first-child,.text{text-align:left}
tr.own td{font-weight:650}
.claims td:first-child{min-width:12rem;white-space:normal}
.verdict{font-weight:600}
.reached{color:var(--good)}.missed{color:var(--bad)}.open{color:var(--doubt)}
footer{margin-top:3rem;font-size:.88rem}
footer dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem}
footer dt{color:var(--ink)}footer dd{margin:0}
@media(max-width:60rem){.layout{display:block}nav{position:static;padding:1.5rem 1.5rem 0;columns:2}main{padding-top:1rem}}
`
