// The platforms that add-ons and programs are built for: those of `napi.targets` in package.json.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseTriple } from '@napi-rs/cli'

/** The checkout. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

export const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

/**
 * `triple` is Rust's name, `name` the end of the packages' names, such as `linux-x64-gnu`; `os`, `cpu` and `libc`
 * are npm's words for it.
 */
export const targets = manifest.napi.targets.map((triple) => {
  const { platformArchABI, platform, arch, abi } = parseTriple(triple)
  const libc = { gnu: 'glibc', musl: 'musl' }[abi]
  return { triple, name: platformArchABI, os: platform, cpu: arch, libc }
})

/** The target of this machine; undefined where there is none. */
export function hostTarget() {
  const { platform, arch, report } = process
  const isGlibc = () => report.getReport().header.glibcVersionRuntime !== undefined
  const libc = platform === 'linux' ? (isGlibc() ? 'glibc' : 'musl') : undefined
  return targets.find((target) => target.os === platform && target.cpu === arch && target.libc === libc)
}

/** What a build of `target` leaves in the folder of artifacts. */
export const artifactNames = ({ name }) => ({
  addon: `netpoll.${name}.node`,
  program: `netpoll-bench.${name}`,
})
