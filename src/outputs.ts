/**
 * The outputs of the process, which must never end it or hold it up. A reader that has gone makes each write fail, and
 * one that has stopped to read makes what is written wait: the first is no reason to end, and of the second so much is
 * kept and no more.
 */

/** Characters that may wait for whoever reads standard output; what comes then is lost. */
const waitingMax = 1_048_576;

/** Makes standard output and standard error harmless. Call it before anything is printed. */
export function tameOutputs(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

/**
 * Where log lines go. Not by the logger's own writer: on a pipe that is full it waits, and on one that is closed a fatal
 * line never returns, and the whole process with it.
 */
export const standardOutput = {
  write(line: string): void {
    if (process.stdout.writableLength < waitingMax) process.stdout.write(line);
  },
};
