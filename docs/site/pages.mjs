// Which Markdown files are pages of the site, in the order of its navigation.

const guide = (name) => `docs/guides/${name}.md`

export const pages = [
  {
    group: 'Guides',
    files: [
      ...['getting-started', 'framing', 'connections', 'streaming', 'node-streams', 'tls'],
      ...[
        'listening',
        'dialing',
        'pools-and-mux',
        'clusters',
        'rpc',
        'thrift',
        'back-pressure',
        'timeouts',
        'memory',
        'workers',
      ],
      ...['contexts', 'operating', 'leaks', 'bundlers', 'from-node-net', 'from-netpoll'],
    ].map(guide),
  },
  { group: 'Reference', files: ['options', 'errors'].map(guide) },
  {
    group: 'Background',
    files: [
      'docs/benchmarks.md',
      'docs/architecture.md',
      'docs/netpoll-parity.md',
      'benches/README.md',
      'CHANGELOG.md',
    ],
  },
]

/** Titles of those that cannot be told from others by their own. */
export const titles = new Map([['benches/README.md', 'Measuring by yourself']])
