/** One request, written byte by byte as a test wants it, and everything that comes back until the other side closes. */

import { connect } from 'node:net';

export interface RawAnswer {
  /** 0 where nothing came that has one. */
  readonly status: number;
  /** By name in lower case; of several the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The body where it is a JSON object; else empty. */
  readonly json: Readonly<Record<string, unknown>>;
}

const givenUpMs = 5_000;

/** Sends a text as Latin-1, so each character is one byte. A side that keeps the connection is waited for in vain. */
export function sendRaw(port: number, text: string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end within ${givenUpMs} ms: ${received}`));
    }, givenUpMs);
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString('latin1');
    });
    // Who refuses a request before its end may cut the connection after the answer.
    socket.on('error', (error) => (received === '' ? reject(error) : resolve(readAnswer(received))));
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(readAnswer(received));
    });
  });
}

/** A request of one line and these headers, after which the connection is closed. */
export const rawRequest = (line: string, headers: readonly string[] = []): string =>
  `${[`${line} HTTP/1.1`, 'Host: x', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`;

function readAnswer(received: string): RawAnswer {
  const end = received.indexOf('\r\n\r\n');
  const [first = '', ...lines] = (end === -1 ? '' : received.slice(0, end)).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
    }),
  );
  const body = end === -1 ? '' : received.slice(end + 4);
  const isJson = body.startsWith('{') && /json/.test(headers['content-type'] ?? '');
  const json = isJson ? (JSON.parse(body) as Record<string, unknown>) : {};
  return { status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 0), headers, body, json };
}
