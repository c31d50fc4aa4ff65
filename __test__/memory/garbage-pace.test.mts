// How often a collection is asked for because of buffers that were sent.
import { createRequire } from 'node:module'

import test from 'ava'

const require = createRequire(import.meta.url)
const { GarbagePace } = require('../../dist/memory/garbage-pace.js') as {
  readonly GarbagePace: new (collect: () => void) => { add(bytes: number): void; collected(): void }
}
const size = 1024 * 1024

test.serial('buffers that grow in number are collected, and not right after another collection', (t) => {
  let asked = 0
  const pace = new GarbagePace(() => {
    asked += 1
  })
  const held: Buffer[] = []
  const send = (count: number): void => {
    for (let index = 0; index < count; index += 1) {
      held.push(Buffer.alloc(size))
      pace.add(size)
    }
  }
  send(15)
  t.is(asked, 0)
  pace.collected()
  send(15)
  t.is(asked, 0)
  send(1)
  t.is(asked, 1)
  send(16)
  t.is(asked, 2)
  t.is(held.length, 47)
})

test.serial('the same buffer sent again and again is no reason to collect', (t) => {
  const pace = new GarbagePace(() => t.fail())
  const held = Buffer.alloc(size)
  for (let index = 0; index < 100; index += 1) pace.add(held.length)
  t.pass()
})
