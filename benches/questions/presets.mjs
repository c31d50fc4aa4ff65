// The runs that have a name: what each asks unless told otherwise.

import { fromRoot } from '../runner/paths.mjs'
import { SIZES } from './sweep.mjs'

const HEADLINE = ['tcp-100x1', 'tcp-4x64', 'unix-100x1']
const results = fromRoot('benches/results')

/** @type {Preset} */
const full = {
  usage: `Usage: netpoll-bench compare [options]

Measures this package beside its peers, everything in one go, and writes the results as JSON, as Markdown
tables, and as charts.`,
  scope: 'full',
  questions: [
    ...[
      'pool',
      'idle',
      'mux',
      'tcp-4x64',
      'half-load',
      'sweep',
      'unix',
      'churn',
      'stream',
      'contexts',
      'timers',
    ],
    ...[
      'http',
      'transfer',
      'idle-memory',
      'tls',
      'slow-peers',
      'two-cores',
      'clients',
      'cluster',
      'nodes',
      'growth',
    ],
  ],
  more: [],
  rounds: 5,
  seconds: 0.6,
  sizes: SIZES,
  out: results,
}

/**
 * Each is a choice from the long run.
 *
 * @type {Readonly<Record<'compare' | 'short' | 'sweep' | 'rpc', Preset>>}
 */
export const PRESETS = {
  compare: full,
  short: {
    ...full,
    usage: `Usage: netpoll-bench [options]

Measures this package beside node:net and a bare loop, in about two minutes.`,
    scope: 'short',
    questions: HEADLINE,
    more: [
      ...['unix-4x64', 'tcp-20x32k', 'stream', 'contexts', 'timers', 'http', 'half-load', 'transfer'],
      ...['idle-memory', 'tls', 'growth'],
    ],
    out: undefined,
  },
  sweep: {
    ...full,
    usage: `Usage: netpoll-bench sweep [options]

Measures what goals are about: all sizes, batches, streams, TLS, large calls, half load and workers.`,
    scope: 'goals',
    questions: [
      ...[
        'sweep',
        ...HEADLINE,
        'half-fixed',
        'transfer',
        'tls',
        'two-workers',
        'large-calls',
        'thrift',
        'growth',
      ],
    ],
    sizes: [...SIZES, 32 * 1024].toSorted((one, other) => one - other),
    out: fromRoot('benches/results/sweep'),
  },
  rpc: {
    ...full,
    usage: `Usage: netpoll-bench rpc [options]

Measures Thrift and a tiny Redis beside others, in a checkout.`,
    questions: ['thrift', 'cluster', 'redis'],
    seconds: 2,
    out: undefined,
  },
}
