// Tells on the terminal what is being measured. Results go to the standard
// output, progress to the standard error.

const terminal = process.stderr.isTTY
let prefix = ''

/** Says what all progress belongs to from now on. @param {string} text */
export function setProgressPrefix(text) {
  prefix = text
}

/** Replaces the line of progress; elsewhere than on a terminal it adds one. @param {string} text */
export function progress(text) {
  const line = prefix + text
  if (terminal) process.stderr.write(`\r\x1b[2K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`)
  else process.stderr.write(`${line}\n`)
}

/** Prints a part of the results. @param {string} text */
export function print(text) {
  if (terminal) process.stderr.write('\r\x1b[2K')
  console.log(text)
}
