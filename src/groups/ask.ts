/** One HTTP request and its answer as JSON: bounded in time and size, over a connection of its own. */

import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface Question {
  readonly method?: 'GET' | 'POST';
  /** Sent as JSON. */
  readonly body?: unknown;
  /** The token to send. */
  readonly bearer?: string | null;
  /** 3000 where absent. */
  readonly timeoutMs?: number;
  /** The unix socket to use, whatever host the address names. */
  readonly socketPath?: string | null;
}

export interface JsonAnswer {
  readonly status: number;
  /** Null if the answer is not JSON. */
  readonly json: unknown;
}

/** A node at its limit of rooms needs about a tenth of this. */
const answerBytesMax = 16 * 1024 * 1024;

/** @throws {Error} if there is no answer, or it is late or too large. */
export function ask(url: string, question: Question = {}): Promise<JsonAnswer> {
  const { method = 'GET', body, bearer = null, timeoutMs = 3000, socketPath = null } = question;
  const text = body === undefined ? '' : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const open = url.startsWith('https:') ? requestHttps : requestHttp;
    const asked = open(url, {
      method,
      ...(socketPath === null ? {} : { socketPath }),
      // A kept connection could reach an old worker with the previous routes.
      agent: false,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(text === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
    });
    asked.on('error', (error: NodeJS.ErrnoException) => {
      reject(
        new Error(error.name === 'AbortError' ? `no answer within ${timeoutMs} ms` : (error.code ?? error.message)),
      );
    });
    asked.on('response', (answer) => {
      const parts: Buffer[] = [];
      let length = 0;
      answer.on('data', (bytes: Buffer) => {
        length += bytes.length;
        if (length > answerBytesMax) asked.destroy(new Error(`the answer exceeds ${answerBytesMax} bytes`));
        else parts.push(bytes);
      });
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, json: readJson(Buffer.concat(parts)) }));
    });
    asked.end(text);
  });
}

function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
