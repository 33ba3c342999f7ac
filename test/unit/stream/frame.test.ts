import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import fc from 'fast-check';
import type { Entry, Epoch } from '../../../src/model.ts';
import { entryData, eventFrame, heartbeatFrame, retryFrame } from '../../../src/stream/frame.ts';

function parse(text: string): { events: EventSourceMessage[]; retries: number[] } {
  const events: EventSourceMessage[] = [];
  const retries: number[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onRetry: (ms) => retries.push(ms),
    onError: (error) => assert.fail(error),
  });
  parser.feed(text);
  return { events, retries };
}

const controls = [0, 7, 10, 13, 27, 127, 0x85, 0x2028].map((code) => String.fromCharCode(code));
/** Text that breaks careless writers: line ends of every kind, and lines that look like fields. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom('\r', '\n', '\r\n', '\u2028', '\u2029', '\u0085', 'id: 1', 'data:', ':', ' '),
      fc.string({ unit: 'binary' }),
    ),
  )
  .map((parts) => parts.join(''));

test('any text in JSON comes out of one event as it went in', () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const { events } = parse(eventFrame({ event: 'comment', id: 'e1.7', data: JSON.stringify({ text }) }));
      assert.equal(events.length, 1);
      assert.equal(events[0]?.id, 'e1.7');
      assert.equal(events[0]?.event, 'comment');
      assert.deepEqual(JSON.parse(events[0]?.data ?? ''), { text });
    }),
  );
});

test('any JSON value comes out of one event as it went in, also when it is laid out in lines', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(0, 2), fc.constantFrom('\n', '\r', '\r\n'), (value, indent, end) => {
      const data = JSON.stringify(value, null, indent).replaceAll('\n', end);
      const { events } = parse(eventFrame({ event: 'state', data }));
      assert.equal(events.length, 1);
      assert.deepEqual(JSON.parse(events[0]?.data ?? ''), JSON.parse(data));
    }),
  );
});

test('any data makes exactly one event, and no line of it becomes another field', () => {
  fc.assert(
    fc.property(hostile, (data) => {
      const { events, retries } = parse(eventFrame({ event: 'note', data }));
      assert.deepEqual(retries, []);
      assert.equal(events.length, 1);
      assert.equal(events[0]?.id, undefined);
      const plain = data
        .replace(/[\u2028\u2029\u0085]/g, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
        .replace(/\r\n?/g, '\n');
      assert.equal(events[0]?.data, plain);
    }),
  );
});

test('an id or a name with a control character in it is refused', () => {
  for (const control of controls) {
    for (const place of [`a${control}b`, `${control}a`, `a${control}`]) {
      assert.throws(() => eventFrame({ event: place, data: '{}' }), /event name/);
      assert.throws(() => eventFrame({ event: 'note', id: place, data: '{}' }), /event id/);
    }
  }
  assert.throws(() => eventFrame({ event: '', data: '{}' }));
  assert.throws(() => eventFrame({ event: 'note', id: '', data: '{}' }));
});

test('the data of an entry begins with the time of the log', () => {
  const entry: Entry = {
    epoch: 'e1' as Epoch,
    offset: 9,
    at: 1234,
    kind: 'comment',
    lane: 'chat',
    audience: 'all',
    body: '{"text":"hi"}',
  };
  const [event] = parse(eventFrame({ event: entry.kind, data: entryData(entry) })).events;
  assert.deepEqual(JSON.parse(event?.data ?? ''), { at: 1234, text: 'hi' });
  assert.deepEqual(JSON.parse(entryData({ ...entry, body: '{}' })), { at: 1234 });
});

test('a retry line says whole milliseconds, and a heartbeat says nothing', () => {
  assert.deepEqual(parse(retryFrame(1234.5)), { events: [], retries: [1235] });
  assert.deepEqual(parse(heartbeatFrame), { events: [], retries: [] });
});
