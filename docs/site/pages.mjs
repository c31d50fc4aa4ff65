// Which Markdown files are pages of the site, in the order of its navigation.

export const pages = [
  {
    group: 'Guides',
    files: [
      'docs/guides/getting-started.md',
      'docs/guides/tls.md',
      'docs/guides/from-node-net.md',
      'docs/guides/from-netpoll.md',
      'docs/guides/operating.md',
    ],
  },
  {
    group: 'Background',
    files: ['docs/architecture.md', 'docs/netpoll-parity.md', 'benches/README.md', 'CHANGELOG.md'],
  },
]
