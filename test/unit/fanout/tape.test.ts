import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Frame } from '../../../src/fanout/span.ts';
import { Tape } from '../../../src/fanout/tape.ts';
import type { Position } from '../../../src/log/position.ts';
import type { Epoch, UserId } from '../../../src/model.ts';
import type { Place } from '../../../src/stream/place.ts';

const at = (offset: number, epoch = 'e1'): Position => ({ epoch: epoch as Epoch, offset });
const ann = 'ann' as UserId;
const nobody = { user: null, withoutChat: false };
const frame = (offset: number, more: Partial<Frame> = {}): Frame => ({
  epoch: 'e1' as Epoch,
  position: at(offset),
  lane: 'must',
  isState: false,
  targets: null,
  weight: 1,
  bytes: Buffer.from(`${offset} `),
  ...more,
});

function add(tape: Tape, offset: number, more: Partial<Frame> = {}): void {
  tape.add(frame(offset, more));
}

/** What a viewer that goes on from a place is handed. */
function readFrom(tape: Tape, from: Place, user: UserId | null = null, withoutChat = false): string {
  let text = '';
  let place = from;
  for (
    let handed = tape.next(place, { user, withoutChat });
    handed !== null;
    handed = tape.next(place, { user, withoutChat })
  ) {
    text += handed.piece?.plain ?? '';
    place = handed.end;
  }
  return text;
}

const replayed = (tape: Tape, after: number, stateAsOf = 0, user: UserId | null = null): string =>
  [...tape.replay({ user, after, stateAsOf })].map(({ piece }) => `${piece.plain}`).join('');

test('all viewers at the head are handed the very same bytes', () => {
  const tape = new Tape(at(0), 1000, 100);
  const place = tape.end;
  add(tape, 1);
  add(tape, 2);
  tape.seal();
  const handed = tape.next(place, { user: null, withoutChat: false });
  assert.equal(`${handed?.piece?.plain}`, '1 2 ');
  assert.equal(tape.next(place, { user: ann, withoutChat: false })?.piece, handed?.piece);
  assert.equal(handed?.end, tape.end);
});

test('viewers that go on from one place are handed one piece, joined over the spans that they lack', () => {
  const tape = new Tape(at(0), 1000, 6);
  const place = tape.end;
  for (let offset = 1; offset <= 4; offset += 1) {
    add(tape, offset);
    tape.seal();
  }
  const first = tape.next(place, { user: null, withoutChat: false });
  assert.equal(`${first?.piece?.plain}`, '1 2 3 ', 'up to about the size of a span');
  assert.equal(tape.next({ ...place }, { user: ann, withoutChat: false })?.piece, first?.piece);
  assert.equal(readFrom(tape, place), '1 2 3 4 ');
});

test('a frame for named users goes to them in its place, and to nobody else', () => {
  const tape = new Tape(at(0), 1000, 100);
  const place = tape.end;
  add(tape, 1);
  add(tape, 2, { targets: new Set([ann]) });
  add(tape, 3);
  tape.seal();
  assert.equal(readFrom(tape, place, ann), '1 2 3 ');
  assert.equal(readFrom(tape, place, 'bob' as UserId), '1 3 ');
  assert.equal(readFrom(tape, place), '1 3 ');
  assert.equal(replayed(tape, 0), '1 3 ');
  assert.equal(replayed(tape, 0, 0, ann), '1 2 3 ');
});

test('from whatever place, a viewer gets every later frame once and in order', () => {
  const step = fc.oneof({ weight: 4, arbitrary: fc.constant('add') }, fc.constantFrom('seal', 'say', 'pass'));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (steps, spanBytesMax) => {
      const tape = new Tape(at(0), 1_000_000, spanBytesMax);
      const places: { place: Place; before: string }[] = [];
      let said = '';
      let offset = 0;
      for (const step of steps) {
        if (step === 'seal') tape.seal();
        else if (step === 'say') tape.addControl(Buffer.from('word '));
        else offset += 1;
        if (step === 'add') add(tape, offset);
        if (step === 'pass') tape.pass(at(offset));
        said += step === 'add' ? `${offset} ` : step === 'say' ? 'word ' : '';
        // Nobody stands within a draft.
        if (tape.sealedEnd.seq === tape.end.seq) places.push({ place: tape.sealedEnd, before: said });
      }
      tape.seal();
      for (const { place, before } of places) assert.equal(before + readFrom(tape, place), said);
    }),
  );
});

test('a draft that is too long for one span becomes several', () => {
  const tape = new Tape(at(0), 1000, 4);
  for (let offset = 1; offset <= 5; offset += 1) add(tape, offset);
  let place = tape.start;
  tape.seal();
  const ends: number[] = [];
  for (let handed = tape.next(place, nobody); handed !== null; handed = tape.next(place, nobody)) {
    place = handed.end;
    ends.push(place.position.offset);
  }
  assert.deepEqual(ends, [2, 4, 5]);
});

test('trimming drops the oldest spans beyond the bound, and keeps the newest whatever its size', () => {
  const tape = new Tape(at(0), 10, 100);
  for (let offset = 1; offset <= 20; offset += 1) {
    add(tape, offset, { bytes: Buffer.alloc(4) });
    tape.seal();
    tape.trim(tape.end);
    assert.ok(tape.bytes <= 10);
  }
  assert.equal(tape.start.position.offset, 18);
  add(tape, 21, { bytes: Buffer.alloc(500) });
  tape.seal();
  tape.trim(tape.end);
  assert.equal(tape.bytes, 500);
  assert.equal(tape.start.position.offset, 20);
});

test('trimming leaves what those lack who keep up, so they get a burst of any length', () => {
  const tape = new Tape(at(0), 10, 10);
  const place = tape.end;
  for (let offset = 1; offset <= 50; offset += 1) add(tape, offset);
  tape.seal();
  tape.trim(place);
  assert.equal(tape.start.seq, place.seq);
  tape.trim(tape.end);
  assert.ok(tape.start.seq > place.seq);
});

test('a newcomer gets what it lacks, the draft included, without the state that it has', () => {
  const tape = new Tape(at(0), 1000, 100);
  add(tape, 1);
  add(tape, 2, { isState: true });
  tape.seal();
  add(tape, 3, { isState: true });
  tape.addControl(Buffer.from('sum '));
  add(tape, 4);
  assert.equal(replayed(tape, 0), '1 2 3 4 ');
  assert.equal(replayed(tape, 1), '2 3 4 ');
  assert.equal(replayed(tape, 0, 2), '1 3 4 ');
  assert.equal(replayed(tape, 4), '');
});

test('the tape covers what lies between its start and its end, and nothing outside', () => {
  const tape = new Tape(at(5), 8, 4);
  for (let offset = 6; offset <= 12; offset += 1) add(tape, offset, { bytes: Buffer.alloc(4) });
  assert.deepEqual(
    [4, 5, 12, 13].map((offset) => tape.covers(offset)),
    [false, true, true, false],
  );
  tape.seal();
  tape.trim(tape.end);
  assert.deepEqual(
    [9, 10, 12].map((offset) => tape.covers(offset)),
    [false, true, true],
  );
  tape.pass(at(13));
  assert.ok(tape.covers(13), 'an entry that nobody of the class may see moves the end');
});

test('after a restart newcomers are served from the new history only, and viewers get the old one first', () => {
  const tape = new Tape(at(0), 1000, 100);
  const place = tape.end;
  for (let offset = 1; offset <= 5; offset += 1) add(tape, offset);
  tape.restart(at(2, 'e2'));
  tape.addControl(Buffer.from('gap '));
  tape.add(frame(3, { position: at(3, 'e2'), bytes: Buffer.from('new ') }));
  assert.deepEqual(
    [1, 2, 3, 5].map((offset) => tape.covers(offset)),
    [false, true, true, false],
  );
  assert.equal(replayed(tape, 2), 'new ');
  tape.seal();
  assert.equal(readFrom(tape, place), '1 2 3 4 5 gap new ');
});

test('what a viewer missed is counted by what everybody of its class was to get', () => {
  const tape = new Tape(at(0), 1000, 100);
  const place = tape.end;
  add(tape, 1);
  add(tape, 2, { targets: new Set([ann]) });
  tape.addControl(Buffer.from('sum '));
  add(tape, 4);
  assert.equal(tape.shownSince(place), 2);
});

test('nobody knows how much a viewer missed where the log lost entries in between', () => {
  const tape = new Tape(at(0), 1000, 100);
  const before = tape.end;
  tape.restart(at(0, 'e2'));
  tape.addControl(Buffer.from('gap '));
  const after = tape.end;
  tape.add(frame(1, { position: at(1, 'e2') }));
  assert.equal(tape.shownSince(before), null);
  assert.equal(tape.shownSince(after), 1);
});

test('newcomers who lack the same are given the same pieces, until more is said', () => {
  const tape = new Tape(at(0), 1000, 100);
  for (let offset = 1; offset <= 3; offset += 1) add(tape, offset);
  const ask = (user: UserId | null) => tape.replay({ user, after: 1, stateAsOf: 0 })[0]?.piece;
  assert.equal(`${ask(null)?.plain}`, '2 3 ');
  assert.equal(ask(ann), ask(null));
  add(tape, 4);
  assert.equal(replayed(tape, 1), '2 3 4 ');
  add(tape, 5, { targets: new Set([ann]) });
  assert.equal(replayed(tape, 3, 0, ann), '4 5 ');
  assert.equal(replayed(tape, 3), '4 ');
});

const readChat = (tape: Tape, from: Place): string => readFrom(tape, from, null, true);

test('whoever has not been handed an entry that was retracted gets nothing of it, sealed or not', () => {
  for (const isSealed of [true, false]) {
    const tape = new Tape(at(0), 1000, 100);
    const place = tape.end;
    for (let offset = 1; offset <= 3; offset += 1) add(tape, offset);
    if (isSealed) {
      tape.seal();
      assert.equal(readFrom(tape, place) + replayed(tape, 0), '1 2 3 1 2 3 ');
    }
    const { end, bytes } = tape;
    tape.retract(at(2));
    assert.deepEqual([tape.end, tape.bytes], [end, bytes], 'places stay where they are');
    assert.equal(replayed(tape, 0), '1 3 ');
    assert.equal(replayed(tape, 1), '3 ');
    tape.seal();
    assert.equal(readFrom(tape, place), '1 3 ');
    assert.equal(tape.shownSince(place), 3, 'it counts as one that there was');
  }
});

test('what was retracted is gone for those whom it named, and for who lacks nothing else', () => {
  const tape = new Tape(at(0), 1000, 100);
  const place = tape.end;
  add(tape, 1, { targets: new Set([ann]) });
  tape.seal();
  assert.equal(readFrom(tape, place, ann), '1 ');
  tape.retract(at(1));
  assert.deepEqual([readFrom(tape, place, ann), replayed(tape, 0, 0, ann)], ['', '']);
  assert.equal([...tape.replay({ user: ann, after: 0, stateAsOf: 0 })].length, 0);
});

test('the same number of another history is not taken back', () => {
  const tape = new Tape(at(0), 1000, 100);
  const place = tape.end;
  for (let offset = 1; offset <= 3; offset += 1) add(tape, offset);
  tape.restart(at(1, 'e2'));
  tape.add(frame(2, { epoch: 'e2' as Epoch, position: at(2, 'e2'), bytes: Buffer.from('new ') }));
  // Read again after the store came back: it has the id that it was given.
  tape.add(frame(3, { position: at(3, 'e2'), bytes: Buffer.from('old ') }));
  tape.retract(at(2, 'e2'));
  tape.seal();
  assert.equal(readFrom(tape, place), '1 2 3 old ');
  tape.retract(at(3));
  assert.equal(readFrom(tape, place), '1 2 ');
});

test('a gap for who is far behind counts what was retracted of the chat that it leaves out', () => {
  const tape = new Tape(at(0), 1000, 100);
  const place = tape.end;
  for (let offset = 1; offset <= 3; offset += 1) add(tape, offset, { lane: 'chat' });
  add(tape, 4);
  tape.retract(at(2));
  tape.seal();
  assert.match(readChat(tape, place), /"from":"e1.0","to":"e1.3","missed":3,"lane":"chat".*\n\n4 $/);
});

test('somebody is far behind who lacks more than half of what the tape may keep', () => {
  const tape = new Tape(at(0), 10, 100);
  const place = tape.end;
  add(tape, 1, { bytes: Buffer.alloc(5) });
  assert.equal(tape.isFarBehind(place), false);
  add(tape, 2, { bytes: Buffer.alloc(1) });
  assert.equal(tape.isFarBehind(place), true);
  assert.equal(tape.isFarBehind(tape.end), false);
});

test('a gap of the log counts for as many as it declares', () => {
  const tape = new Tape(at(0), 1000, 100);
  const place = tape.end;
  add(tape, 1);
  add(tape, 9, { weight: 7 });
  assert.equal(tape.shownSince(place), 8);
});
