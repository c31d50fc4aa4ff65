// The benchmark's own modules, which are JavaScript outside of what the tests are compiled from.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// `cargo test`, which `npm test` runs first, builds one of these; `npm run bench` the other.
const programs = ['debug', 'release'].map((profile) =>
  fileURLToPath(new URL(`../../target/${profile}/netpoll-bench`, import.meta.url)),
)
process.env['NETPOLL_BENCH'] ??= programs.find((path) => existsSync(path))

/** A module of `benches`, as its test describes it. */
export async function benchModule<Module>(path: string): Promise<Module> {
  return (await import(new URL(`../../benches/${path}`, import.meta.url).href)) as Module
}

export type Unit = 'rate' | 'microseconds' | 'bytes' | 'share' | 'ratio' | 'count'

export interface Column {
  readonly key: string
  readonly label: string
  readonly unit: Unit
}

export interface Row {
  readonly peer: string
  readonly label: string
  readonly family: string
  readonly values: Readonly<Record<string, number | null>>
  readonly rounds: readonly number[]
  readonly cpuRounds?: readonly number[]
  readonly spread: number
  readonly remark: string
}

export interface Section {
  readonly id: string
  readonly group: string
  readonly title: string
  readonly about: string
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  readonly warnings: readonly string[]
  readonly size?: number
  readonly run?: string
}

export interface Claim {
  readonly text: string
  readonly figure: string
  readonly needed: string
  readonly verdict: string
}

export interface Results {
  readonly machine: string
  readonly date: string
  readonly method: { readonly rounds: number; readonly seconds: number; readonly quick: boolean }
  readonly versions: Readonly<Record<string, string>>
  readonly skipped: readonly string[]
  readonly warnings: readonly string[]
  readonly problems: readonly string[]
  readonly sections: readonly Section[]
  readonly claims: readonly Claim[]
}

const columns: readonly Column[] = [
  { key: 'rate', label: 'requests/s', unit: 'rate' },
  { key: 'cpu', label: 'CPU/request', unit: 'microseconds' },
  { key: 'p50', label: 'p50', unit: 'microseconds' },
  { key: 'p99', label: 'p99', unit: 'microseconds' },
  { key: 'p999', label: 'p99.9', unit: 'microseconds' },
]

/** A row as a server that answered so many requests a second would have it. */
export function rowOf(peer: string, rounds: readonly number[], more: Partial<Row> = {}): Row {
  const rate = rounds[rounds.length >> 1] ?? null
  const latency = rate === null ? null : 1e8 / rate
  return {
    peer,
    label: peer,
    family: peer,
    values: {
      rate,
      cpu: rate === null ? null : 1e6 / rate,
      p50: latency,
      p99: latency && 2 * latency,
      p999: latency && 4 * latency,
    },
    rounds,
    cpuRounds: rounds.map((figure) => 1e6 / figure),
    spread: 0,
    remark: '',
    ...more,
  }
}

/** A section with these rows. */
export function sectionOf(id: string, rows: readonly Row[], more: Partial<Section> = {}): Section {
  return {
    id,
    group: 'A group',
    title: `Title of ${id}`,
    about: 'About it.',
    columns,
    rows,
    warnings: [],
    ...more,
  }
}

/** Results with these sections. */
export function resultsOf(sections: readonly Section[], more: Partial<Results> = {}): Results {
  return {
    machine: 'A machine; pinned',
    date: '2026-01-02',
    method: { rounds: 3, seconds: 1, quick: false },
    versions: { 'Node.js': '20.0.0' },
    skipped: [],
    warnings: [],
    problems: [],
    sections,
    claims: [],
    ...more,
  }
}
