// Memory of messages of which a handler by cursor makes no view is read into again, and no other is.
import test from 'ava'

import { delimiter, stats } from '../../dist/index.mjs'
import { line } from '../support/cursors.mjs'
import { until } from '../support/deferred.mjs'
import { frame, frames, pattern, unframe } from '../support/frames.mjs'
import { collect } from '../support/garbage.mjs'
import { places, words } from '../support/places.mjs'

/** Those whose poller has the thread of JavaScript: no other reads into memory again. */
const inline = places.filter(({ pollers }) => pollers === 0)
/** Milliseconds: half of the pause after which free memory is let go of, at the least. */
const late = 200

for (const place of inline) {
  test.serial(`memory of small messages is read into again: ${words(place)}`, async (t) => {
    const chunks = new Set<ArrayBufferLike>()
    const starts = new Set<number>()
    const { peer } = await line(t, place, (reader, writer) => {
      chunks.add(reader.bytes.buffer)
      starts.add(reader.start)
      writer.writeFrom(reader)
    })
    // Ten times what a chunk holds.
    for (let round = 0; round < 600; round += 1) {
      await Promise.all([peer.write(frames(pattern(2000, 1), pattern(2000, 2))), peer.read(2 * 2004)])
    }
    t.true(chunks.size <= 3, `${chunks.size} chunks`)
    t.true(starts.size <= 20, `${starts.size} places`)
  })
}

for (const place of inline) {
  test.serial(`memory of large messages is read into again, and let go of: ${words(place)}`, async (t) => {
    const views: Buffer[] = []
    const seen = new WeakSet<ArrayBufferLike>()
    let count = 0
    const { peer } = await line(t, place, (reader, writer) => {
      const { bytes, start, length } = reader
      if (!seen.has(bytes.buffer)) count += 1
      seen.add(bytes.buffer)
      // A view here and there keeps its memory.
      if (bytes[start] === 1) views.push(reader.next(length))
      writer.writeUint(length, 4)
    })
    let pauses = 0
    const send = async (first: number, length: number): Promise<void> => {
      const began = performance.now()
      const [, reply] = await Promise.all([peer.write(frame(Buffer.alloc(length, first))), peer.read(8)])
      t.is(unframe(reply)[0]?.readUInt32BE(0), length)
      if (performance.now() - began > late) pauses += 1
    }
    // From here on both sides have what they need for small messages.
    await send(2, 10)
    const { liveBytes } = stats().chunks
    for (let round = 0; round < 60; round += 1) {
      await send(round % 20 === 0 ? 1 : 2, 300_000 + (round % 3))
    }
    // For the first message, for each view and the message behind it, and after a pause of the machine.
    t.true(count <= 10 + pauses, `${count} chunks, ${pauses} pauses`)
    t.is(views.length, 3)
    t.true(views.every((view) => view.equals(Buffer.alloc(view.length, 1))))
    views.length = 0
    // What nobody uses is let go of.
    await until(() => {
      collect()
      return stats().chunks.liveBytes <= liveBytes
    })
  })

  for (const length of [150_000, 400_000]) {
    test.serial(
      `a view keeps its bytes, and short lines behind it do not: ${length}, ${words(place)}`,
      async (t) => {
        const views: Buffer[] = []
        const { peer } = await line(
          t,
          place,
          (reader, writer) => {
            if (reader.length > 1_000 && views.length < 5) views.push(reader.next(reader.length))
            writer.writeString('x')
          },
          { framing: delimiter('\n') },
        )
        const short = Array.from({ length: 200 }, () => 'short\n').join('')
        await Promise.all([peer.write(Buffer.from(short)), peer.read(2 * 200)])
        for (let round = 0; round < 10; round += 1) {
          const long = `${String.fromCharCode(97 + round).repeat(length)}\n`
          await Promise.all([peer.write(Buffer.from(long + short)), peer.read(2 * 201)])
        }
        t.deepEqual(
          views.map((view) => [
            view.length,
            view.every((byte) => byte === view[0]) && String.fromCharCode(view[0] as number),
          ]),
          ['a', 'b', 'c', 'd', 'e'].map((letter) => [length, letter]),
        )
      },
    )
  }
}
