// Connections whose handler has a cursor, and their peers.
import type { ExecutionContext } from 'ava'

import type { Connection, CursorHandler } from '../../dist/index.mjs'
import { Inbox } from './deferred.mjs'
import type { Peer } from './peer.mjs'
import { connectionAt, type PlacedOptions } from './placed.mjs'
import type { Place } from './places.mjs'

/** Whom a handler answers. */
export interface Line {
  readonly peer: Peer
  readonly connection: Connection
  readonly errors: Inbox<unknown>
}

/** A connection at `place` with this handler, and its peer. */
export async function line(
  t: ExecutionContext,
  place: Place,
  onMessage: CursorHandler,
  options: PlacedOptions = {},
): Promise<Line> {
  const errors = new Inbox<unknown>()
  // Some peers do not end.
  const common = { closeTimeout: 50, onError: errors.push }
  const placed = await connectionAt(t, place, { ...common, ...options, onMessage } as PlacedOptions)
  return { ...placed, errors }
}
