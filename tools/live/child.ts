/**
 * One program of the picture that `npm run live` shows. It has a process group of its own, so a ctrl-c in the terminal
 * reaches only who started it, and it can be ended in its turn. What it prints goes into a file.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

export interface ChildOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Where what it prints is kept. */
  readonly logFile: string;
}

/** Beyond this it is killed. Above what a gateway may take to close. */
const endsWithinMs = 20_000;
const readyWithinMs = 20_000;
const askAgainMs = 50;
const lastLines = 10;

export class Child {
  readonly name: string;
  /** Settled when it has ended, with a sentence that says how. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #logFile: string;
  #hasEnded = false;

  constructor({ name, command, args, folder, environment = {}, logFile }: ChildOptions) {
    this.name = name;
    this.#logFile = logFile;
    const log = openSync(logFile, 'a');
    const { PATH } = process.env;
    this.#child = spawn(command, args, {
      cwd: folder,
      env: { PATH, ...environment },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.ended = new Promise((resolve) => {
      const over = (how: string): void => {
        this.#hasEnded = true;
        resolve(`${name} ${how}`);
      };
      this.#child.on('error', (error) => over(`could not be started: ${error.message}`));
      this.#child.on('exit', (code, signal) => over(signal === null ? `ended with ${code}` : `was ended by ${signal}`));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @throws {Error} where it ends before it is ready, or is not ready in time. */
  async ready(isReady: () => Promise<boolean>): Promise<void> {
    const until = performance.now() + readyWithinMs;
    while (!(await isReady().catch(() => false))) {
      if (this.#hasEnded) throw new Error(`${await this.ended} before it was ready.\n${await this.lastWords()}`);
      if (performance.now() > until) throw new Error(`${this.name} was not ready in time.\n${await this.lastWords()}`);
      await pause(askAgainMs);
    }
  }

  /** The end of what it printed. */
  async lastWords(): Promise<string> {
    const text = await readFile(this.#logFile, 'utf8');
    return text.trimEnd().split('\n').slice(-lastLines).join('\n');
  }

  async end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.kill(), endsWithinMs);
    await this.ended;
    clearTimeout(late);
  }

  kill(): void {
    if (!this.#hasEnded) this.#child.kill('SIGKILL');
  }

  /** Ends what it has left behind: an nginx that was killed leaves workers, which hold its port. */
  clear(): void {
    if (this.pid === undefined) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Nobody of its process group is there.
    }
  }
}
