/** Kinds of hostile peers, as `fixtures/amplification.mts` knows them. */
export const attacks = [
  'one byte of a header',
  'oversized headers',
  'half frames',
  'tiny frames',
  'empty frames',
  'a delimiter that never comes',
  'replies that are not read',
  'a stream that is only collected',
  'connections that are reset',
  'calls that are never answered',
] as const

export type AttackName = (typeof attacks)[number]
