// What is measured on, and whether it is quiet enough to measure.

import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { setTimeout } from 'node:timers/promises'

import { cores } from './processes.mjs'

const QUIET_SAMPLE = 300
const BUSY = 0.15
const STOLEN = 0.02

/** A line about the machine, and the Node.js that is measured. */
export function describeMachine(nodeVersion = process.versions.node) {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const memory = Math.round(totalmem() / 2 ** 30)
  const pinned =
    cores === undefined
      ? 'not pinned to cores'
      : `server on core ${cores.server}, client on core ${cores.client}`
  return `${type()} ${release()}, Node ${nodeVersion}, ${availableParallelism()} cores (${model}), ${memory} GiB; ${pinned}`
}

/**
 * Times of all cores together since the start of the system, in ticks.
 *
 * @typedef {{ busy: number, stolen: number, total: number }} Times
 */

/** @returns {Times | undefined} */
function readTimes() {
  if (process.platform !== 'linux') return undefined
  const fields = /^cpu +(.+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]?.split(' ').map(Number) ?? []
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, interrupt = 0, softInterrupt = 0, stolen = 0] =
    fields
  const busy = user + nice + system + interrupt + softInterrupt
  return { busy, stolen, total: busy + idle + wait + stolen }
}

/** Looks for what disturbs a measurement, before and during it. */
export class NoiseCheck {
  #begin = readTimes()

  /** @returns {Promise<string | undefined>} A warning if other processes are at work. */
  async before() {
    const begin = readTimes()
    await setTimeout(QUIET_SAMPLE)
    const end = readTimes()
    if (begin === undefined || end === undefined) return undefined
    const share = (end.busy - begin.busy) / Math.max(1, end.total - begin.total)
    return share > BUSY
      ? `other processes use ${Math.round(share * 100)} % of the processors: expect noise`
      : undefined
  }

  /** @returns {string | undefined} A warning if the host took processor time away. */
  after() {
    const end = readTimes()
    if (this.#begin === undefined || end === undefined) return undefined
    const share = (end.stolen - this.#begin.stolen) / Math.max(1, end.total - this.#begin.total)
    return share > STOLEN
      ? `the host took ${Math.round(share * 100)} % of the processor time away: expect noise`
      : undefined
  }
}
