// What the files of tests do under each test runner: nothing of it may hang.
const { createServer, Dialer, lengthField, Pool } = require('netpoll')

const host = '127.0.0.1'
const framing = lengthField({ size: 4 })
const { signal } = new AbortController()

async function framed(pollers) {
  const server = createServer({ framing, pollers }, async (request) => request.subarray(1))
  await server.listen({ host, port: 0, signal })
  const target = { host, port: server.address().port }
  const connection = await new Dialer({ framing, pollers }).dial(target)
  const gone = new Promise((resolve) => connection.onClose(resolve))
  const first = await connection.call(new Uint8Array([33, 104, 105]), { signal })
  const pool = new Pool(target, { framing, pollers })
  const second = await pool.call(Buffer.from('?ho'))
  await pool.close()
  await connection.close()
  await gone
  await server.close()
  return [String(first), String(second)]
}

async function streamed(pollers) {
  const server = createServer({ pollers }, async (connection) => {
    await connection.send(connection.reader.readBinary(connection.reader.length))
  })
  await server.listen({ host, port: 0 })
  const duplex = (await new Dialer({ pollers }).dial({ host, port: server.address().port })).toDuplex()
  const data = new Promise((resolve) => duplex.once('data', resolve))
  duplex.write('hello')
  const text = String(await data)
  duplex.end()
  await new Promise((resolve) => duplex.once('close', resolve))
  await server.close()
  return text
}

exports.everyday = async (pollers) => [...(await framed(pollers)), await streamed(pollers)]
exports.answers = ['hi', 'ho', 'hello']
