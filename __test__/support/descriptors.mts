import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** How many descriptors this process has. */
export function descriptors(): number {
  return readdirSync(process.platform === 'linux' ? '/proc/self/fd' : '/dev/fd').length
}

/** Waits until this process has no more than so many, which is for ever where it keeps them. */
export async function descriptorsAre(most: number): Promise<void> {
  while (descriptors() > most) await sleep(20)
}
