import * as http2 from 'node:http2'
import { buffer } from 'node:stream/consumers'

import { certificate } from '../certificate.mjs'
import { firstOf } from '../trials.mjs'
import { originOf } from './http.mjs'

/** A client of HTTP/2; `socket` is what it stands on, or else it connects by itself. */
export async function openSession(transport, port, socket) {
  const options = { ca: certificate, ...(socket && { createConnection: () => socket }) }
  const session = http2.connect(originOf(transport, port), options)
  session.on('error', () => {})
  await firstOf(session, 'remoteSettings', 'close')
  return session
}

export async function ask(session, path, body) {
  const stream = session.request({ ':path': path, ':method': body === undefined ? 'GET' : 'POST' })
  stream.end(body)
  return buffer(stream)
}

/** Begins a long answer: `ended` is its end. */
export async function begin(session) {
  const stream = session.request({ ':path': '/hang' })
  const ended = new Promise((_resolve, reject) => {
    stream.once('error', reject)
    stream.once('close', () => reject(new Error(`close ${stream.rstCode}`)))
  })
  ended.catch(() => {})
  await firstOf(stream, 'data')
  stream.resume()
  return { ended }
}

export function close(session) {
  const closed = firstOf(session, 'close')
  session.close()
  return closed
}
