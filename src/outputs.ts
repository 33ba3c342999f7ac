/**
 * The outputs of the process, which must never end it or block it. If the reader has gone, each write fails, and that is
 * ignored. If the reader has stopped reading, a bounded amount is queued and the rest is dropped.
 */

/** Characters that may be queued for standard output; further ones are dropped. */
const waitingMax = 1_048_576;

/** Makes standard output and standard error harmless. Call it before anything is printed. */
export function tameOutputs(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/**
 * Writes log lines. The logger's own writer would block on a full pipe, and on a closed one a fatal line would hang the
 * process.
 */
export const standardOutput = {
  write(line: string): void {
    if (process.stdout.writableLength < waitingMax) process.stdout.write(line);
  },
};
