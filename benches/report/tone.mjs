// Which bars stand out: ours do, and what marks the ceiling does not.

/** @typedef {'ours' | 'variant' | 'peer' | 'ceiling'} Tone */

/**
 * @param {{ peer: string, family: string }} row
 * @returns {Tone}
 */
export function tone({ peer, family }) {
  if (peer === 'netpoll') return 'ours'
  if (family === 'netpoll') return 'variant'
  return family === 'bare' || family === 'tokio' ? 'ceiling' : 'peer'
}
