/**
 * Clients of four houses, each as people really use it: Chromium's EventSource, the npm package `eventsource`,
 * `eventsource-parser` over fetch, and curl, with and without compression. All of them give what they heard in one
 * form: the name, the data as text, and the id that an EventSource would send next.
 *
 * The two event sources come back by themselves. The others end, and come back when they are told to.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EventSource } from 'eventsource';
import { createParser } from 'eventsource-parser';
import type { Browser, Page } from 'playwright-core';
import { fetch } from 'undici';
import { type StartedProcess, startProcess } from './process.ts';

export interface HeardEvent {
  readonly event: string;
  readonly data: string;
  /** Sticky, as in the specification: an event without an id has the one before it. */
  readonly lastId: string;
}

export interface Client {
  readonly name: string;
  readonly comesBack: boolean;
  heard(): readonly HeardEvent[];
  /** For those that do not come back by themselves: the same address again, with the last id. Harmless for others. */
  comeBack(): Promise<void>;
  close(): Promise<void>;
}

/** What a client is told to listen to. */
export interface Watched {
  /** Without a token. */
  readonly address: string;
  readonly token: string;
  /** An EventSource hears only names that it was told of. */
  readonly names: readonly string[];
}

const withToken = ({ address, token }: Watched): string =>
  `${address}${address.includes('?') ? '&' : '?'}access_token=${token}`;

/**
 * Reads an event stream as WHATWG HTML, section 9.2.6, says, sentence by sentence. An event that the end of the bytes
 * cuts short is discarded.
 */
export function parseEventStream(bytes: Buffer): HeardEvent[] {
  const heard: HeardEvent[] = [];
  let [type, data, lastId] = ['', '', ''];
  // The decoder drops one byte order mark at the start, as the section on interpreting a stream asks.
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\n|\r/);
  // What follows the last line end is no line yet.
  for (const line of lines.slice(0, -1)) {
    if (line === '') {
      if (data !== '') heard.push({ event: type === '' ? 'message' : type, data: data.replace(/\n$/, ''), lastId });
      [type, data] = ['', ''];
      continue;
    }
    const colon = line.indexOf(':');
    if (colon === 0) continue;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') type = value;
    else if (field === 'data') data += `${value}\n`;
    else if (field === 'id' && !value.includes('\0')) lastId = value;
  }
  return heard;
}

export async function openNpmClient(watched: Watched): Promise<Client> {
  const heard: HeardEvent[] = [];
  const source = new EventSource(withToken(watched));
  for (const name of watched.names) {
    source.addEventListener(name, ({ data, lastEventId }: { data: string; lastEventId: string }) => {
      heard.push({ event: name, data, lastId: lastEventId });
    });
  }
  return {
    name: 'the npm package eventsource',
    comesBack: true,
    heard: () => heard,
    comeBack: async () => undefined,
    close: async () => source.close(),
  };
}

export async function openFetchClient({ address, token }: Watched): Promise<Client> {
  const heard: HeardEvent[] = [];
  let lastId = '';
  let over = new AbortController();
  let reading: Promise<void> = Promise.resolve();
  const open = async (): Promise<void> => {
    over = new AbortController();
    const { signal } = over;
    const parser = createParser({
      onEvent: ({ event = 'message', data, id = lastId }) => {
        lastId = id;
        heard.push({ event, data, lastId });
      },
    });
    const headers = { authorization: `Bearer ${token}`, ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
    const answer = await fetch(address, { headers, signal });
    assert.equal(answer.status, 200);
    const decoder = new TextDecoder();
    const read = async (): Promise<void> => {
      for await (const bytes of answer.body ?? []) parser.feed(decoder.decode(bytes, { stream: true }));
    };
    // A stream that was cut off ends in an error, which for this client is an end like any other.
    reading = read().catch(() => undefined);
  };
  await open();
  return {
    name: 'eventsource-parser over fetch',
    comesBack: false,
    heard: () => heard,
    async comeBack() {
      await reading;
      await open();
    },
    async close() {
      over.abort();
      await reading;
    },
  };
}

export async function openCurl({ address, token }: Watched, isCompressed: boolean): Promise<Client> {
  /** The output of each run; a new run begins a new stream. */
  const runs: Buffer[] = [];
  let parsed: HeardEvent[] | null = null;
  let running: StartedProcess | null = null;
  const heard = (): readonly HeardEvent[] => {
    parsed ??= runs.reduce<HeardEvent[]>((all, bytes) => all.concat(parseEventStream(bytes)), []);
    return parsed;
  };
  const run = (): void => {
    const lastId = heard().at(-1)?.lastId ?? '';
    const nth = runs.push(Buffer.alloc(0)) - 1;
    const args = ['-sS', '-N', '-H', `authorization: Bearer ${token}`, ...(isCompressed ? ['--compressed'] : [])];
    if (lastId !== '') args.push('-H', `last-event-id: ${lastId}`);
    const curl = startProcess({ command: 'curl', args: [...args, address], stdio: ['ignore', 'pipe', 'ignore'] });
    curl.child.stdout?.on('data', (bytes: Buffer) => {
      runs[nth] = Buffer.concat([runs[nth] ?? Buffer.alloc(0), bytes]);
      parsed = null;
    });
    running = curl;
  };
  run();
  return {
    name: isCompressed ? 'curl --compressed' : 'curl',
    comesBack: false,
    heard,
    async comeBack() {
      await running?.exited;
      run();
    },
    async close() {
      await running?.end();
    },
  };
}

export interface Origin {
  readonly origin: string;
  close(): Promise<void>;
}

/** A server of another origin with one empty page, as a platform's own site is to the gateway. */
export async function startOrigin(): Promise<Origin> {
  const server = createServer((_request, answer) => {
    answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html><title>site</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Runs in the page, so it is text: this program is not checked against the types of a browser. */
const watchInPage = `({ address, names }) => {
  window.heard = [];
  window.source = new EventSource(address);
  for (const name of names) {
    window.source.addEventListener(name, (event) => {
      window.heard.push({ event: name, data: event.data, lastId: event.lastEventId });
    });
  }
}`;

/** Chromium on a page of another origin. What it heard is fetched from the page in batches, in order. */
export async function openChromium(browser: Browser, origin: string, watched: Watched): Promise<Client> {
  const page: Page = await browser.newPage();
  await page.goto(origin);
  await page.evaluate(`(${watchInPage})(${JSON.stringify({ address: withToken(watched), names: watched.names })})`);
  let heard: HeardEvent[] = [];
  let isOpen = true;
  const follow = async (): Promise<void> => {
    while (isOpen) {
      const wanted = `new Promise((resolve) => {
        const look = () => window.heard.length > 0 ? resolve(window.heard.splice(0)) : setTimeout(look, 20);
        look();
      })`;
      const batch = await page.evaluate<HeardEvent[]>(wanted);
      // JSON carries lone surrogates and everything else between the page and this process unchanged.
      heard = heard.concat(batch);
    }
  };
  const following = follow().catch((error: unknown) => {
    if (isOpen) throw error;
  });
  // Nobody awaits it before the end, and its failure shows as events that never come.
  following.catch(() => undefined);
  return {
    name: "Chromium's EventSource",
    comesBack: true,
    heard: () => heard,
    comeBack: async () => undefined,
    async close() {
      isOpen = false;
      await page.close();
      await following;
    },
  };
}
