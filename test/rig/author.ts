/**
 * Writes to a room over one kept connection, one write after the other, and enters what was acknowledged into a ledger.
 * It opens no second connection, so it goes on where a gateway can accept none.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { room } from './gateway.ts';
import { Ledger, type Written } from './ledger.ts';
import { sendWrite } from './send-write.ts';

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
    const body = { type: 'note', data: { text: mark, padding } };
    const to = { port: this.#port, room, agent: this.#agent };
    const { status, text } = await sendWrite(to, { method: 'POST', path: 'actions/signal', body, key: null });
    assert.equal(status, 202, text);
    this.paddedBytes += padding.length;
    return this.ledger.add(JSON.parse(text).id, { seen: 'all', mark, part: null });
  }

  close(): void {
    this.#agent.destroy();
  }
}
