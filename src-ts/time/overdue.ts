import type { Look } from '../leaks/watched'
import * as clock from './clock'

/** How a wait looks to the detector of leaks: at fault once `deadline` has passed on our clock, and at once without one. */
export function overdue(deadline: number, what: string): Look {
  const isInTime = deadline !== Number.POSITIVE_INFINITY && clock.now() <= deadline
  return isInTime ? 'fine' : { what, certainty: 'certain' }
}
