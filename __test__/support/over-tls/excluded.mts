/** Tests that the run with TLS leaves out, and why. */
interface Exclusion {
  /** Their files and titles, or how they begin. A whole run has a test for each of them. */
  readonly tests: readonly RegExp[]
  /** What the programs have in their source that are left out: those that are tests, as examples of the documentation are. */
  readonly programs?: RegExp
  readonly reason: string
}

const exclusions: readonly Exclusion[] = [
  {
    tests: [
      /^connection\/calls\/detach-calls ›/,
      /^connection\/detach ›/,
      /^connection\/connection-signal › .*: detach\(\)/,
    ],
    programs: /\.detach\(/,
    reason: 'a connection with TLS cannot be given away',
  },
  {
    tests: [
      /^stats\/stats › connections that a dialer was given/,
      /^time\/step-budget › the event loop turns beside whoever aborts/,
      /^process\/context › two servers keep their contexts apart/,
      /^process\/inspect › states of half of a connection/,
      /^poller\/turns › nothing is detached/,
    ],
    reason: 'it gives connections away, too',
  },
  {
    tests: [/^connection\/reentrant › .* by detach /, /^connection\/peer-address › .* after a detach/],
    reason: 'it gives connections away, among others',
  },
  {
    tests: [/^connection\/facade › a duplex has of its own what a stream has/],
    reason: 'a duplex with TLS has more members, which tls/duplex.test compares',
  },
  {
    tests: [
      /^connection\/refusal › .* too much of all connections together/,
      /^thrift\/thrift-limits › .* or no room at all/,
      /^connection\/amplification › .* half frames/,
    ],
    reason: 'handshakes count in maxBufferedBytes, which it fills before they are done',
  },
  {
    tests: [/^client\/dialed-socket › (?:written|corked|given options).* as a socket of node:net$/],
    reason: 'it is compared with what `new net.Socket()` does, which has no TLS',
  },
  {
    tests: [/^client\/mux › all requests of a turn leave in one system call/],
    reason: 'it counts writes of several pieces, and what is encrypted is one piece, which `send` takes',
  },
  {
    tests: [/^client\/pool-backoff › a connection that ends after it was of use is replaced at once/],
    reason:
      'a peer by node:tls ends a turn after its reply, in which a call may take the connection, and fails',
  },
  {
    tests: [/^connection\/calls\/call-timeouts › replies that came while the process stalled win/],
    reason: 'what node:tls is given leaves in later turns, of which there are none while the process stalls',
  },
  {
    tests: [
      /^memory\/first-nothing › a thread may begin by sending nothing: tls/,
      /^checks\/other-kinds › startTls refuses them as well/,
    ],
    programs: /^await \w+\.startTls\(/m,
    reason: 'it starts TLS where there is TLS from the beginning',
  },
  {
    tests: [/^native\/host › with \d+ descriptors left/],
    reason: 'the helpers have loaded the add-on before there are no descriptors left',
  },
  {
    tests: [/^connection\/stream\/duplex-members › reset while it connects/],
    reason: 'its peer is gone before there is a socket with TLS that could be told',
  },
  {
    tests: [/^connection\/stream\/duplex-errors › a reset(?:: server| is a NetpollError)/],
    reason: 'it is compared with the server side of node:tls, which may end without an error',
  },
  {
    tests: [/^connection\/stream\/duplex-process › .*: paused/],
    reason: 'it is compared with node:net, where a paused socket keeps the process below TLS',
  },
  {
    tests: [
      /^connection\/stream\/duplex-libraries › tls:/,
      // There is no test with Redis where it is not installed.
      /^connection\/stream\/duplex-(?:http2 › http2:|redis ›)/,
    ],
    reason: 'its other end is TLS, http2 or Redis, of which the helpers leave the socket plain',
  },
  {
    tests: [/^connection\/stream\/duplex-http2 › https: clients that go after their answer/],
    reason: 'its clients go without the end of the lower TLS, which onError is told of',
  },
  {
    tests: [
      /^connection\/stream\/write-callbacks › a write to a peer that has gone is told its error/,
      /^connection\/busy-writers ›.*unix/,
    ],
    reason: 'a peer that goes without the end of TLS is ERR_TLS_TRUNCATED, before any write fails',
  },
]

/** The source of each test that is a program, by the test's title. */
const sources = new Map<string, string>()

/** Says that the test with this title, of this thread, is a program with this source. */
export function declareProgram(title: string, source: string): void {
  sources.set(title, source)
}

/** What the exclusions look for. Each is found in a whole run, or it excludes nothing any more. */
export const patterns: readonly string[] = exclusions.flatMap(({ tests, programs }) =>
  [...tests, ...(programs === undefined ? [] : [programs])].map(String),
)

/** By which of {@link patterns} the run with TLS leaves out a test of a file; `undefined` where it runs. */
export function exclusionOf(file: string, title: string): string | undefined {
  const source = sources.get(title) ?? ''
  for (const { tests, programs } of exclusions) {
    const found = tests.find((pattern) => pattern.test(`${file} › ${title}`))
    if (found !== undefined) return String(found)
    if (programs?.test(source)) return String(programs)
  }
  return undefined
}
