/**
 * Writes to a room over one kept connection, one write after the other, and enters what was acknowledged into a ledger.
 * It opens no second connection, so it goes on where a gateway can accept none.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Agent, type IncomingMessage, request } from 'node:http';
import { room, tokenOf } from './gateway.ts';
import { Ledger, type Written } from './ledger.ts';

export class Author {
  readonly ledger = new Ledger();
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #writes = 0;

  constructor(port: number) {
    this.#port = port;
  }

  /** Bytes of all signals so far, their padding alone. */
  paddedBytes = 0;

  /** A signal for everybody, as long as is asked for and hardly to be compressed. */
  async signal(bytes = 0): Promise<Written> {
    this.#writes += 1;
    const mark = `mark ${this.#writes}`;
    const padding = randomBytes(Math.ceil((bytes * 3) / 4)).toString('base64url');
    const { status, text } = await this.#post('signal', { type: 'note', data: { text: mark, padding } });
    assert.equal(status, 202, text);
    this.paddedBytes += padding.length;
    return this.ledger.add(JSON.parse(text).id, { seen: 'all', mark, part: null });
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(kind: string, body: unknown): Promise<{ status: number; text: string }> {
    const headers = { authorization: `Bearer ${tokenOf('hanna', 'host')}`, 'content-type': 'application/json' };
    const path = `/rooms/${room}/actions/${kind}`;
    return new Promise((resolve, reject) => {
      const take = (answer: IncomingMessage): void => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
        answer.on('error', reject);
      };
      const asked = request({ host: '127.0.0.1', port: this.#port, path, method: 'POST', agent: this.#agent, headers });
      asked.on('response', take).on('error', reject).end(JSON.stringify(body));
    });
  }
}
