/** The time of the choice that is being made, on our clock: looked at once for all that a balancer compares. */
export interface Moment {
  now: number
}
