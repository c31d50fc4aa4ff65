import { createRequire } from 'node:module'

interface Report {
  readonly header: { readonly glibcVersionRuntime?: string }
  readonly sharedObjects: readonly string[]
}

/** The report of this process. The types of Node.js say that it may be missing, and that it is text. */
export function currentReport(): Report {
  return process.report?.getReport() as unknown as Report
}

/** The add-on that this process has loaded. */
export function loadedAddon(): string {
  createRequire(import.meta.url)('../../binding/index.js')
  const found = currentReport().sharedObjects.find(
    (path) => path.endsWith('.node') && path.includes('netpoll'),
  )
  if (found === undefined) throw new Error('no add-on is loaded')
  return found
}
