/**
 * The writers of the benchmark `writes`, as a process of their own: autocannon posts comments over kept connections,
 * each with the token of another user, another key and another text. Told by one message what to do, it answers with
 * one message for each round.
 */

import autocannon from 'autocannon';
import { benchSecret, signToken } from './tokens.ts';

export interface Round {
  readonly port: number;
  readonly amount: number;
  readonly connections: number;
  readonly rooms: number;
  readonly users: number;
}

export interface RoundResult {
  readonly seconds: number;
  /** Answers by status; connections that were cut and answers that never came count as `none`. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

let keys = 0;

async function run({ port, amount, connections, rooms, users }: Round): Promise<RoundResult> {
  const tokens = Array.from({ length: users }, (_, user) => signToken(benchSecret, `user-${user}`, 'viewer'));
  const statuses: Record<string, number> = {};
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections,
    amount,
    requests: [
      {
        method: 'POST',
        setupRequest: (request) => {
          keys += 1;
          const { headers: _, ...rest } = request;
          return {
            ...rest,
            path: `/rooms/room-${keys % rooms}/actions/comment`,
            headers: {
              authorization: `Bearer ${tokens[keys % users]}`,
              'content-type': 'application/json',
              'idempotency-key': `${process.pid}-${keys}`,
            },
            body: JSON.stringify({
              text: `comment ${keys}: what a goal, did you see how he got past the two of them?`,
            }),
          };
        },
        onResponse: (status) => {
          statuses[status] = (statuses[status] ?? 0) + 1;
        },
      },
    ],
  });
  const none = result.errors + result.timeouts;
  if (none > 0) statuses['none'] = none;
  return { seconds: result.duration, statuses, p50Ms: result.latency.p50, p99Ms: result.latency.p99 };
}

process.on('message', (round: Round) => {
  void run(round).then((result) => process.send?.(result));
});
// The bench has ended or was killed; nobody else would end this.
process.on('disconnect', () => process.exit(0));
