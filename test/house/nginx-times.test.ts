import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyBytesMax } from '../../src/http/json-body.ts';
import { waitMaxS } from '../../src/http/schemas.ts';
import { settingsTable } from '../../src/settings-table.ts';
import { textOf } from './sources.ts';

// nginx cannot read the settings of a gateway, so what has to fit together is held here, by the defaults.

const text = textOf('nginx/nginx.conf').replace(/^ *#.*$/gm, '');
const [common = '', ...locations] = text.split(/location = \/=/);
const wayOf = (name: string): string =>
  locations.find((one) => one.startsWith(`${name} {`)) ?? assert.fail(`there is no way ${name}`);
/** A time in milliseconds, of the way or else of all. */
function timeOf(way: string, directive: string): number {
  const pattern = new RegExp(`${directive} (\\d+)s;`);
  const [, seconds] = pattern.exec(wayOf(way)) ?? pattern.exec(common) ?? [];
  return 1000 * Number(seconds);
}
const defaultOf = (name: string): number => Number(settingsTable.find((row) => row.name === name)?.default);
const writes = ['write-keyed', 'write-post', 'write-once'];
/** How far apart two clocks that wait for each other must be, for an answer to come in between. */
const marginMs = 1_000;
/** How often a viewer is looked after: a heartbeat comes by so much later than HEARTBEAT_MS at most. */
const turnMs = 1_000;

test('nginx waits on a stream for three heartbeats, so that two may be late', () => {
  const silentMs = timeOf('stream', 'proxy_read_timeout');
  assert.ok(silentMs >= 3 * defaultOf('HEARTBEAT_MS'));
  assert.ok(silentMs >= 2 * (defaultOf('HEARTBEAT_MS') + turnMs));
  assert.ok(silentMs <= 10_000, 'and a gateway that is stopped is found within seconds');
});

test('a gateway that waits for its log speaks before nginx gives it up', () => {
  for (const way of ['stream', 'shared', 'read', ...writes])
    assert.ok(timeOf(way, 'proxy_read_timeout') >= defaultOf('LOG_DEADLINE_MS') + marginMs, way);
  assert.ok(timeOf('pull', 'proxy_read_timeout') >= waitMaxS * 1000 + defaultOf('LOG_DEADLINE_MS') + marginMs);
});

test('when a gateway was silent there is time left to ask another', () => {
  for (const way of ['stream', 'shared', 'read', 'write-keyed']) {
    const [silentMs, allMs] = [timeOf(way, 'proxy_read_timeout'), timeOf(way, 'proxy_next_upstream_timeout')];
    assert.ok(allMs >= 2 * silentMs, `${way}: ${allMs} ms for tries of ${silentMs} ms`);
  }
});

test('nginx waits longer for a viewer than the gateway, which can say why it ends', () => {
  assert.ok(1000 * Number(/send_timeout (\d+)s;/.exec(common)?.[1]) > defaultOf('VIEWER_STUCK_MS'));
});

test('nginx says of the size of a body what the gateway says', () => {
  assert.match(text, new RegExp(`The body must not exceed ${bodyBytesMax} bytes`));
});
