/**
 * One request for a stream, read on the spot: status, headers, and every event as an independent parser sees it. It
 * never comes back by itself, so a test decides what the next request says.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { constants, createGunzip } from 'node:zlib';
import { createParser } from 'eventsource-parser';
import { room, tokenOf } from './gateway.ts';
import { type WaitOptions, waitFor } from './wait-for.ts';

export interface LogMessage {
  readonly event: string;
  readonly id: string | undefined;
  /** The data as it was sent. */
  readonly text: string;
  /** The data, which is always a JSON object. */
  readonly data: Record<string, unknown>;
}

export interface ReadOptions {
  /** Absent: a viewer's, `ann`. Null: none at all. */
  readonly token?: string | null;
  readonly room?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Over this unix socket, whatever the address says. */
  readonly socketPath?: string;
}

export class StreamReader {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Every event but `audience`, which comes when it likes. */
  readonly heard: LogMessage[] = [];
  /** How many watched, as it was told; each with how many events were heard before. */
  readonly audiences: { readonly viewers: number; readonly users: number; readonly after: number }[] = [];
  readonly comments: string[] = [];
  retryMs: number | null = null;
  /** The body as it came. */
  readonly parts: Buffer[] = [];
  /** Everything that was read, decoded. */
  text = '';
  isOver = false;
  readonly #request: ClientRequest;

  constructor(asked: ClientRequest, answer: IncomingMessage) {
    this.#request = asked;
    this.status = answer.statusCode ?? 0;
    this.headers = answer.headers;
    const decoder = new TextDecoder();
    const parser = createParser({
      onEvent: ({ event = 'message', id, data }) => {
        if (event === 'audience') {
          assert.equal(id, undefined, 'how many watch has no id');
          this.audiences.push({
            ...(JSON.parse(data) as { viewers: number; users: number }),
            after: this.heard.length,
          });
        } else this.heard.push({ event, id, text: data, data: data.startsWith('{') ? JSON.parse(data) : {} });
      },
      onComment: (comment) => void this.comments.push(comment),
      onRetry: (ms) => {
        this.retryMs = ms;
      },
    });
    const over = (): void => {
      this.isOver = true;
    };
    const isGzip = answer.headers['content-encoding'] === 'gzip';
    const body = isGzip ? answer.pipe(createGunzip({ flush: constants.Z_SYNC_FLUSH })) : answer;
    body.on('data', (bytes: Buffer) => {
      const text = decoder.decode(bytes, { stream: true });
      this.text += text;
      parser.feed(text);
    });
    // Our gzip streams have no trailer, so their end reads like a cut.
    body.on('error', over).on('end', over).on('close', over);
    answer.on('data', (bytes: Buffer) => void this.parts.push(bytes));
    answer.on('error', over).on('aborted', over);
  }

  /** What it knows of how many watch, in short. */
  get audience(): string {
    const last = this.audiences.at(-1);
    return last === undefined ? 'none' : `${last.viewers} viewers, ${last.users} users`;
  }

  named(event: string): LogMessage[] {
    return this.heard.filter((one) => one.event === event);
  }

  /** The data of the only event of this name so far, or of the first one to come. */
  async first(event: string): Promise<LogMessage> {
    return this.until(() => this.named(event)[0], `the first ${event}`);
  }

  /** The last id that an event source would know. */
  get lastId(): string {
    return this.heard.findLast(({ id }) => id !== undefined)?.id ?? '';
  }

  until<Value>(
    condition: () => Value | Promise<Value>,
    what: string,
    options: Partial<WaitOptions> = {},
  ): Promise<Exclude<Value, false | null | undefined>> {
    return waitFor(condition, { what: `${what} (heard: ${this.heard.map((one) => one.event)})`, ...options });
  }

  async over(timeoutMs = 5000): Promise<void> {
    await this.until(() => this.isOver, 'the end of the stream', { timeoutMs });
  }

  close(): void {
    this.#request.destroy();
  }
}

/** Asks a gateway for a room's stream; settles with the head of its answer. */
export async function readStream(url: string, options: ReadOptions = {}): Promise<StreamReader> {
  const { token = tokenOf('ann'), query = {}, headers = {}, socketPath } = options;
  const search = new URLSearchParams(query).toString();
  const asked = request(`${url}/rooms/${options.room ?? room}/stream${search === '' ? '' : `?${search}`}`, {
    agent: false,
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    ...(socketPath === undefined ? {} : { socketPath }),
  });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  asked.on('error', () => undefined);
  return new StreamReader(asked, answer);
}

/** The same, seated: its resume has come, so whatever is written from now on reaches it live. */
export async function watch(url: string, options: ReadOptions = {}): Promise<StreamReader> {
  const reader = await readStream(url, options);
  assert.equal(reader.status, 200);
  await reader.first('state');
  return reader;
}
