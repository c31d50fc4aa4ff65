// A handler that computes for about a millisecond, as a module for workers.

import { getEnvironmentData } from 'node:worker_threads'

/** Steps that took a millisecond on the machine that the figures of the documentation are from. */
const STEPS = 800_000

/**
 * Computes as much as takes about so many milliseconds: the same work however many share the processor.
 *
 * @param {number} milliseconds
 */
export function compute(milliseconds) {
  let state = 1
  for (let step = 0; step < STEPS * milliseconds; step += 1) state = (Math.imul(state, 48_271) + 11) | 0
  return state
}

/** Milliseconds for each request, from whoever starts the workers. */
const milliseconds = Number(getEnvironmentData('netpoll.bench.work') ?? 1)

/** @type {import('netpoll').WorkerHandler} */
export default function handle(request) {
  return compute(milliseconds) === 0 ? undefined : request
}
