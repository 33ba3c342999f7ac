import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync, constants as zlib } from 'node:zlib';
import fc from 'fast-check';
import { deflated, gzipHead, stored } from '../../../src/stream/deflate.ts';
import { Piece } from '../../../src/stream/piece.ts';

const gunzip = (packed: readonly Buffer[]): Buffer =>
  gunzipSync(Buffer.concat([gzipHead, ...packed]), { finishFlush: zlib.Z_SYNC_FLUSH });

const plain = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ maxLength: 300 }).map((text) => Buffer.from(`event: note\ndata: ${text}\n\n`)),
  fc.constantFrom(1, 65_534, 65_535, 65_536, 140_000).map((size) => Buffer.alloc(size, 'ab')),
);
const piece = fc.record({ plain, isShared: fc.boolean() });

test('any sequence of shared and private pieces is one gzip stream of their texts', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const packed = pieces.map(({ plain, isShared }) => (isShared ? deflated(plain) : stored(plain)));
      assert.ok(gunzip(packed).equals(Buffer.concat(pieces.map(({ plain }) => plain))));
    }),
    { numRuns: 200 },
  );
});

test('a piece means the same at any place of any stream', () => {
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 6 }), fc.infiniteStream(fc.nat(5)), (pieces, order) => {
      const once = pieces.map(({ plain, isShared }) => ({ plain, packed: isShared ? deflated(plain) : stored(plain) }));
      const picked = [...order.take(10)].flatMap((index) => once[index % once.length] ?? []);
      assert.ok(gunzip(picked.map(({ packed }) => packed)).equals(Buffer.concat(picked.map(({ plain }) => plain))));
    }),
    { numRuns: 100 },
  );
});

test('after each piece the reader has everything that was sent so far', () => {
  const texts = ['one', 'two', 'three'].map((text) => Buffer.from(`data: ${text}\n\n`));
  const packed = texts.map((text, index) => (index === 1 ? stored(text) : deflated(text)));
  for (let count = 1; count <= texts.length; count += 1) {
    assert.equal(`${gunzip(packed.slice(0, count))}`, `${Buffer.concat(texts.slice(0, count))}`);
  }
});

test('a private text is not compressed, so its packed size says nothing but its length', () => {
  const [same, mixed] = [
    Buffer.alloc(1000, 'a'),
    Buffer.from(Array.from({ length: 1000 }, (_, at) => (at * 7919) % 251)),
  ];
  assert.equal(stored(same).length, stored(mixed).length);
  assert.ok(deflated(same).length < deflated(mixed).length);
});

test('a shared piece is packed once, however many viewers get it', () => {
  const shared = Piece.shared('data: x\n\n');
  assert.equal(shared.bytes('gzip'), shared.bytes('gzip'));
  assert.equal(shared.bytes('identity'), shared.plain);
});
