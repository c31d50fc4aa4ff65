// What the modules of the benchmark hand to each other.

/** Figures of one round, by the keys of columns; `null` is not known. */
type Figures = Readonly<Record<string, number | null>>

/** How a figure is to be read. */
type Unit = 'rate' | 'microseconds' | 'bytes' | 'share' | 'ratio' | 'count'

interface Column {
  readonly key: string
  readonly label: string
  readonly unit: Unit
}

interface Row {
  readonly peer: string
  readonly label: string
  readonly family: string
  readonly values: Figures
  /** The figure of the first column in each round. */
  readonly rounds: readonly number[]
  /** Processor time for each request in each round, where it is known. */
  readonly cpuRounds?: readonly (number | null)[]
  /** Highest less lowest round, as a part of the median. */
  readonly spread: number
  readonly remark: string
}

interface Head {
  readonly id: string
  readonly group: string
  readonly title: string
  readonly about: string
  /** The first is what the question is about. */
  readonly columns: readonly Column[]
  /** Bytes of a request, where sections of a group differ in it. */
  readonly size?: number
}

/** What one question comes to: a table that describes itself. */
interface Section extends Head {
  readonly rows: readonly Row[]
  readonly warnings: readonly string[]
  /** When and how it was measured, where that is not what the document says. */
  readonly run?: string | undefined
}

/** What one round comes to. */
interface Round {
  readonly figures: Figures
  /** The share of a core that the server used. */
  readonly serverShare?: number | null
  readonly clientShare?: number | null
  /** Connections whose request was not answered in time. */
  readonly timedOut?: number
}

interface Named {
  readonly id: string
  readonly label: string
  readonly family: string
}

/** One of those that take turns. */
interface Run {
  readonly subject: Named
  /** Nothing if it failed, which is then a problem. */
  readonly measure: () => Promise<Round | undefined>
}

/** What took turns, with its rounds. */
interface Turns {
  readonly subject: Named
  readonly rounds: readonly Round[]
}

interface ServerUse {
  readonly cpuShare: number | null
  readonly residentBytes: number | null
  readonly peakResidentBytes: number | null
}

/** What `netpoll-bench client --json` prints. */
interface LoadReport {
  readonly seconds: number
  readonly requests: number
  readonly requestsPerSecond: number
  readonly latencyMicroseconds: Readonly<Record<'mean' | 'p50' | 'p90' | 'p99' | 'p999' | 'max', number>>
  readonly client: { readonly cpuShare: number }
  readonly server: ServerUse & { readonly cpuMicrosecondsPerRequest: number | null }
  readonly errors: readonly { readonly kind: string; readonly count: number }[]
}

/** What `netpoll-bench transfer --json` prints. */
interface TransferReport {
  readonly megabytesPerSecond: number
  readonly client: { readonly cpuShare: number }
  readonly server: ServerUse & { readonly cpuMillisecondsPerGibibyte: number | null }
}

/** What connections go over: TCP, unix sockets, or TLS over TCP. */
type Transport = 'tcp' | 'unix' | 'tls'

/** Messages on connections that stay. */
interface Frames {
  readonly protocol: 'frames'
  readonly connections: number
  /** Requests at a time on each. */
  readonly inFlight: number
  /** Bytes of payload. */
  readonly size: number
  /** Whether replies may come in any order. */
  readonly anyOrder?: boolean
  /** Connections beside those that send nothing. */
  readonly idle?: number
}

/** What connections send. */
type Shape =
  | Frames
  | {
      readonly protocol: 'churn'
      readonly connections: number
      readonly size: number
      /** Whether each takes up the session of one before. */
      readonly resumes?: boolean
    }
  | { readonly protocol: 'http'; readonly connections: number }

/** The load of one run. */
interface Load {
  readonly shape: Shape
  readonly seconds?: number
  readonly count?: number
  /** Seconds. */
  readonly warmUp?: number
  /** Requests per second on a schedule. */
  readonly rate?: number
  /** Seconds that each request may take. */
  readonly timeout?: number | undefined
  /** What the client does while no reply is there. */
  readonly waiting?: 'busy-poll' | 'sleep'
}

/** What a reply is: an echo of its request, or a message of its own whose first word is inverted. */
type Reply = 'echo' | 'inverted'

/** What a server is made of. */
type Family = 'netpoll' | 'node' | 'bun' | 'go' | 'netty' | 'tokio' | 'bare'

/** A server that is measured beside others. */
interface Peer {
  readonly label: string
  readonly family: Family
  /** Whether it has a garbage collector to be asked to run. */
  readonly collects: boolean
  readonly reply: Reply
  /** Files that must have been built. */
  readonly needs: readonly string[]
  /** The program and its words, on that Node.js if on any. */
  readonly command: (node: string) => readonly string[]
  /** Words behind the address. */
  readonly after?: readonly string[]
  /** How it encrypts, if it can: what it is called then, and more words. */
  readonly tls?: { readonly label: string; readonly words: readonly string[] }
}

type PeerName = keyof typeof import('./runner/peers.mjs').PEERS
type FormName = keyof typeof import('./servers/forms.mjs').FORMS

/** Whose cores a process gets: the server's, the client's, both, or all that there are. */
type Place = 'server' | 'client' | 'all' | 'unpinned'

/** A server to be measured: a peer, as it is or in a way of its own. */
interface Subject extends Named {
  readonly peer: PeerName
  /** The Node.js that it runs on, if on any. */
  readonly node: string
  /** A folder with another build of this package. */
  readonly build: string | undefined
  /** More words for it. */
  readonly words: readonly string[]
  readonly place: Place
}

/** Beside whom: `node:net` and the bare loop, those that goals name, or everyone. */
type Scope = 'short' | 'goals' | 'full'

/** A run that has a name. */
interface Preset {
  /** The command and what it does. */
  readonly usage: string
  readonly scope: Scope
  readonly questions: readonly string[]
  /** Asked, too, with `--all`. */
  readonly more: readonly string[]
  readonly rounds: number
  /** Measured seconds in each round. */
  readonly seconds: number
  /** Bytes of the requests of the sweep. */
  readonly sizes: readonly number[]
  /** Where results go; without, they are only printed. */
  readonly out: string | undefined
}

/** What a run was asked to do. */
interface Options extends Omit<Preset, 'usage' | 'more'> {
  /** Names; all if there are none. */
  readonly peers: readonly string[] | undefined
  /** Seconds of load before each round. */
  readonly warmUp: number
  readonly quick: boolean
  readonly node: string
  readonly nodes: readonly { readonly version: string; readonly program: string }[]
  /** A folder with another build of this package. */
  readonly before: string | undefined
  readonly docs: boolean
}

/** What every question gets. */
interface Context {
  readonly options: Options
  readonly fleet: import('./runner/fleet.mjs').Fleet
  /** Those that are asked for and there; with ours of another build, if one was named. */
  readonly subjects: (peers: readonly PeerName[]) => readonly Subject[]
  /** What is known already. */
  readonly sections: readonly Section[]
}

/** A part that belongs to several questions is asked once. */
interface Part {
  readonly id: string
  readonly ask: (context: Context) => Promise<readonly Section[]>
}

interface Question {
  readonly name: string
  readonly parts: (options: Pick<Options, 'sizes' | 'scope'>) => readonly Part[]
}

/** A load at full speed, the same for every server. */
interface Scenario extends Head {
  readonly peers: readonly PeerName[]
  /** Those of the peers that the short run measures. */
  readonly short: readonly PeerName[]
  /** Those of the peers that goals are about. */
  readonly goals: readonly PeerName[]
  readonly transport: Transport
  readonly shape: Shape
}

/** What is needed, and what one would like to see. */
interface Limit {
  readonly side: 'least' | 'most'
  readonly value: number
  readonly goal: number | undefined
}

/**
 * A figure as a multiple of another's. Of several others the least favourable counts, of several subjects the best.
 */
interface Comparison {
  readonly text: string
  readonly section: string
  readonly figure: 'rate' | 'cpu'
  readonly of: readonly string[]
  readonly to: readonly string[]
  /** A row whose figure is added to each of the others. */
  readonly plus?: string
  /** What the other is called. */
  readonly named?: string
  readonly limit: Limit
}

/** A figure of its own. */
interface Bound {
  readonly text: string
  readonly section: string
  readonly of: string
  /** Its column. */
  readonly key: string
  readonly limit: Limit
}

/** How much a ratio rises from one section to the next. */
interface Steps {
  readonly text: string
  readonly sections: readonly string[]
  readonly of: string
  readonly to: string
  readonly plus?: string
  readonly limit: Limit
}

/** Whether this package shows what it should. */
interface Claim {
  readonly text: string
  /** What was measured. */
  readonly figure: string
  readonly needed: string
  readonly verdict: 'reached' | 'goal reached' | 'NOT REACHED' | 'too close' | 'not measured'
}

/** Everything that was found, as it is written to a file. */
interface Results {
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
