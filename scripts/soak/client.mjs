// Clients that behave, in a process of their own: some stay, some come and go, some set deadlines that pass. Each reply is
// compared with its request. What a call may come to is known: anything else is a fault.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

import { Dialer, Mux, NetpollError, Pool } from '../../dist/index.mjs'
import { counts, doubt, fault, obey } from './child.mjs'
import { action, framing, id, lostReply, requestOf } from './messages.mjs'
import { Random, pause } from './random.mjs'

const [seed = '1'] = process.argv.slice(2)
const random = new Random(Number(seed))
const ca = readFileSync(new URL('../../__test__/fixtures/tls/certificate.pem', import.meta.url))
/** A call that takes longer has lost its reply. */
const patience = 30_000
/** What calls may have in flight over one mux. */
const inFlight = 3

let isStormy = false
let underWay = 0
const sizes = [0, 1, 30, 300, 3_000, 3_000, 20_000, 70_000, 300_000]

Object.assign(counts, { replies: 0, late: 0, lostByWorker: 0, refused: 0, ended: 0 })

/** What an error is by which a server, or its system, has ended a connection. */
const ends = ['ERR_CONN_CLOSED', 'ERR_EOF', 'ERR_TLS_TRUNCATED', 'ECONNRESET', 'EPIPE']

/** A server gives up whatever does not go on in time: it cannot know that this process did not get the processor. */
function tell(what, error) {
  const cause = error?.cause instanceof Error ? `, because of ${error.cause.code ?? error.cause.message}` : ''
  const text = `${what}: ${error?.stack ?? error}${cause}`
  if (ends.includes(error?.code)) doubt(text)
  else fault(text)
}

/** Calls once, and compares. `isExpected` says whether an error is one that this call may come to. */
async function ask(target, request, { name = '', timeout = patience, isExpected = () => false } = {}) {
  underWay += 1
  try {
    const reply = await target.call(request, { timeout })
    if (reply.equals(request)) counts.replies += 1
    else if (reply.equals(lostReply)) counts.lostByWorker += 1
    else fault(`wrong bytes of ${name}: ${reply.length} in reply to ${request.length}`)
  } catch (error) {
    if (!isExpected(error)) tell(`a lost reply of ${name}`, error)
  } finally {
    underWay -= 1
  }
}

const isLate = (error) => {
  counts.late += 1
  return error.code === 'ERR_REQUEST_TIMEOUT'
}

/** While a mode's descriptors are used up, or ours. */
const isRefused = (error) => {
  counts.refused += 1
  return ['EMFILE', 'ENFILE', 'ECONNREFUSED', 'ECONNRESET', 'EAGAIN', 'ERR_DIAL_TIMEOUT', 'EPIPE'].includes(
    error.code,
  )
}

const plainRequest = () => requestOf(random, random.of(sizes))

async function lane(step) {
  for (;;) {
    if (isStormy) await step()
    else await pause(20)
  }
}

/** Calls that stay on their connections: none may fail. */
function stay(target, name, isWorkers) {
  for (let count = 0; count < inFlight; count += 1) {
    void lane(async () => {
      const isExit = isWorkers && random.below(2_000) === 0
      await ask(target, isExit ? requestOf(random, 10, action.exit) : plainRequest(), { name })
      await pause(random.below(30))
    })
  }
}

/** Deadlines that pass: the reply comes later, and must reach no other call. */
function beLate(target) {
  void lane(async () => {
    const milliseconds = random.below(60)
    await ask(target, requestOf(random, 100, action.late, milliseconds), {
      name: 'a deadline',
      timeout: 30,
      isExpected: isLate,
    })
  })
}

/** Connections that come and go. Once one is there its calls have replies. */
function comeAndGo(dialer, place, name) {
  void lane(async () => {
    let connection
    try {
      connection = await dialer.dial({ ...place, connectTimeout: 5_000 })
    } catch (error) {
      const isKnown = isRefused(error) || error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT'
      if (!isKnown) tell(`a dial to ${name}`, error)
      await pause(100)
      return
    }
    const calls = Array.from({ length: 1 + random.below(5) }, () =>
      ask(connection, plainRequest(), { name: `a connection to ${name}` }),
    )
    await Promise.all(calls)
    if (random.below(2) === 0) connection.destroy()
    else await connection.close()
    await pause(random.below(50))
  })
}

/** Bytes that come back in order. */
function stream(dialer, place) {
  void lane(async () => {
    underWay += 1
    try {
      const connection = await dialer.dial({ ...place, connectTimeout: 5_000 })
      for (let round = 0; round < 5; round += 1) {
        const bytes = requestOf(random, 10_000 + random.below(200_000))
        const sent = connection.send(bytes)
        await connection.reader.fill(bytes.length)
        if (!connection.reader.next(bytes.length).equals(bytes)) fault('wrong bytes of a stream')
        else counts.replies += 1
        await sent
      }
      await connection.close()
    } catch (error) {
      if (!isRefused(error)) tell('a stream', error)
      await pause(100)
    } finally {
      underWay -= 1
    }
  })
}

/** Threads that serve and are called, until they are terminated. Each call gets its reply, or the end of its connection. */
function terminate(pollers) {
  const dialer = new Dialer({ framing, id, onError: () => {} })
  const path = fileURLToPath(new URL('thread.mjs', import.meta.url))
  void lane(async () => {
    underWay += 1
    const worker = new Worker(path, { workerData: { pollers, seed: random.below(2 ** 31) } })
    try {
      const [place] = await once(worker, 'message')
      const connection = await dialer.dial(place)
      const isOver = (error) => {
        counts.ended += 1
        return error instanceof NetpollError && error.code !== 'ERR_REQUEST_TIMEOUT'
      }
      const calls = []
      for (const end = performance.now() + 100 + random.below(900); performance.now() < end; ) {
        calls.push(ask(connection, plainRequest(), { name: 'a thread', isExpected: isOver }))
        await pause(random.below(30))
      }
      await worker.terminate()
      await Promise.all(calls)
      connection.destroy()
      counts.terminations = (counts.terminations ?? 0) + 1
    } catch (error) {
      await worker.terminate()
      const isKnown = isRefused(error) || error.code === 'ERR_WORKER_INIT_FAILED'
      if (!isKnown) tell('a thread', error)
    } finally {
      underWay -= 1
    }
  })
}

function begin(modes) {
  const tls = { ca, servername: 'localhost' }
  const quiet = { framing, onError: () => {} }
  for (const [mode, places] of Object.entries(modes)) {
    const isWorkers = mode === 'workers'
    for (const [name, place] of Object.entries(places)) {
      const options = {
        ...quiet,
        pollers: mode === 'pollers' ? 1 : 0,
        ...(isWorkers ? {} : { id }),
        ...(name === 'tls' && { tls }),
      }
      if (name === 'stream') {
        stream(new Dialer({ pollers: options.pollers, onError: () => {} }), place)
        continue
      }
      const mux = new Mux(place, { ...options, connections: 2 })
      stay(mux, `a mux to ${mode} ${name}`, isWorkers)
      if (!isWorkers) beLate(mux)
      comeAndGo(new Dialer(options), place, `${mode} ${name}`)
      const pool = new Pool(place, { ...options, connections: 4 })
      void lane(async () => {
        await ask(pool, plainRequest(), { name: 'a pool', isExpected: isRefused })
        await pause(random.below(20))
      })
    }
  }
  terminate(0)
  terminate(1)
}

obey({
  begin,
  storm: () => {
    isStormy = true
  },
  lull: async () => {
    isStormy = false
    const end = performance.now() + 2 * patience
    while (underWay > 0 && performance.now() < end) await pause(20)
    if (underWay > 0) fault(`${underWay} calls have come to nothing`)
  },
})
