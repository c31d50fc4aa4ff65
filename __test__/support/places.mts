/** Where a connection may be: everything that what it sends may depend on. */
export interface Place {
  readonly side: 'server' | 'dialed'
  readonly pollers: number
  readonly transport: 'tcp' | 'unix'
}

/** All of them. */
export const places: readonly Place[] = (['server', 'dialed'] as const).flatMap((side) =>
  [0, 1, 2].flatMap((pollers) =>
    (['tcp', 'unix'] as const).map((transport) => ({ side, pollers, transport })),
  ),
)

/** As tests name it. */
export function words({ side, pollers, transport }: Place): string {
  return `${side}, ${pollers} pollers, ${transport}`
}
