import type { Look } from '../leaks/watched'
import * as clock from './clock'

/** How what should be over by `deadline` on our clock looks to the detector of leaks; without one, it should be soon. */
export function overdue(deadline: number, what: string): Look {
  const isInTime = deadline !== Number.POSITIVE_INFINITY && clock.now() <= deadline
  return isInTime ? 'fine' : { what, certainty: 'certain' }
}
