/** Whether the stacks of errors show who has made a call. */

import type { ExecutionContext } from 'ava'

import { configure } from '../../dist/index.mjs'
import { rejection } from './netpoll.mjs'

/** Has a call made by a function of this name, which awaits it. */
async function theCaller(call: () => Promise<unknown>): Promise<unknown> {
  return await call()
}

/** What a call rejects with that is made and awaited by {@link theCaller}. */
export const errorOf = (call: () => Promise<unknown>): Promise<unknown> => rejection(theCaller(call))

/** What a call rejects with that nobody awaits. */
export function errorUnawaited(call: () => Promise<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    function theCaller(): void {
      call().then(() => reject(new Error('the call has a reply')), resolve)
    }
    theCaller()
  })
}

/**
 * Its first frame that is no `new Promise` is the caller's, and none is of this package. Those of Node.js itself, by which a
 * call is refused in a later turn, stand before.
 */
export function saysWhoCalls(t: ExecutionContext, error: unknown): void {
  t.true(error instanceof Error && 'code' in error, String(error))
  const { stack, name, message } = error as Error
  const [head = '', ...frames] = String(stack).split(/\n {4}at /)
  t.is(head, `${name}: ${message}`)
  const others = frames.filter((frame) => !frame.includes('(node:internal'))
  t.true(
    others.slice(0, 2).some((frame) => /theCaller|\.test\.mjs/.test(frame)),
    stack,
  )
  t.true(
    frames.some((frame) => frame.includes('theCaller')),
    stack,
  )
  t.deepEqual(
    frames.filter((frame) => /\/dist\//.test(frame)),
    [],
    stack,
  )
}

export interface Failing {
  readonly call: () => Promise<unknown>
  /** Has the call fail, where it does not by itself. */
  readonly fail?: () => unknown
}

type Begin = (t: ExecutionContext) => Promise<Failing>

/** What fails so, while its caller awaits it, says who has called. */
export async function saysWhoAwaits(t: ExecutionContext, begin: Begin): Promise<void> {
  const { call, fail } = await begin(t)
  const error = errorOf(call)
  await fail?.()
  saysWhoCalls(t, await error)
}

/** With `callStacks` what fails so says who has made it, although nobody awaits it. The test has the process for itself. */
export async function saysWhoMadeIt(t: ExecutionContext, begin: Begin): Promise<void> {
  const { call, fail } = await begin(t)
  configure({ callStacks: true })
  t.teardown(() => configure({ callStacks: false }))
  const error = errorUnawaited(call)
  await fail?.()
  saysWhoCalls(t, await error)
}
