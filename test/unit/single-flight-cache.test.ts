import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SingleFlightCache } from '../../src/single-flight-cache.ts';
import { FakeClock } from '../rig/fake-clock.ts';

const keptMs = 500;

/** A cache of texts, each as heavy as it is long, and loads that end when the test says. */
function open(weightMax = 10) {
  const clock = new FakeClock();
  const cache = new SingleFlightCache<string>({
    expiry: { clock, keptMs },
    weightMax,
    weigh: (text) => text.length,
  });
  let loads = 0;
  const get = (key: string, value = key): Promise<string> =>
    cache.get(key, async () => {
      loads += 1;
      if (value === 'away') throw new Error(value);
      return value;
    });
  return { cache, clock, get, loads: () => loads };
}

describe('a value that many ask for', () => {
  it('is loaded once for all who ask at a time, and kept from then on for a while', async () => {
    const { clock, get, loads } = open();
    assert.deepEqual(await Promise.all([get('a'), get('a'), get('a')]), ['a', 'a', 'a']);
    clock.advance(keptMs - 1);
    await get('a');
    assert.equal(loads(), 1);
    clock.advance(1);
    await get('a');
    assert.equal(loads(), 2);
  });

  it('is loaded again where that failed, for as many as asked meanwhile', async () => {
    const { cache, get, loads } = open();
    const failed = await Promise.allSettled([get('a', 'away'), get('a', 'away')]);
    assert.deepEqual(new Set(failed.map(({ status }) => status)), new Set(['rejected']));
    assert.equal(cache.has('a'), false);
    assert.equal(await get('a'), 'a');
    assert.equal(loads(), 2);
  });

  it('goes to those who asked and is not kept where it weighs nothing', async () => {
    const { cache, clock, get } = open();
    assert.equal(await get('a', ''), '');
    assert.deepEqual([cache.has('a'), clock.timers], [false, 0]);
  });

  it('is not kept once it was dropped, also where it was still being loaded', async () => {
    const { cache, clock, get, loads } = open();
    const old = get('a', 'old');
    cache.drop('a');
    const next = get('a', 'new');
    cache.drop('a', old);
    assert.deepEqual([await old, await next, await get('a')], ['old', 'new', 'new']);
    assert.equal(loads(), 2);
    cache.clear();
    assert.deepEqual([cache.has('a'), cache.weight, clock.timers], [false, 0, 0]);
  });

  it('can be put in the place of what is kept or being loaded', async () => {
    const { cache, get } = open();
    const loading = get('a', 'loaded');
    cache.put('a', 'put');
    await loading;
    assert.deepEqual([cache.peek('a'), await get('a'), cache.weight], ['put', 'put', 3]);
  });
});

describe('the values that are kept', () => {
  it('weigh no more than they may, and the oldest go first', async () => {
    const { cache, clock, get } = open(10);
    for (const key of ['aaaa', 'bbbb', 'cc']) await get(key);
    assert.equal(cache.weight, 10);
    cache.put('aaaa', 'aaaa');
    await get('d');
    assert.deepEqual(
      ['aaaa', 'bbbb', 'cc', 'd'].map((key) => cache.has(key)),
      [true, false, true, true],
    );
    assert.deepEqual([cache.weight, clock.timers], [7, 3]);
    await get('e', 'too long to be kept');
    assert.deepEqual([cache.weight, clock.timers], [0, 0]);
  });

  it('make room without ending a load', async () => {
    const { cache, get, loads } = open(3);
    let end: (value: string) => void = () => undefined;
    const slow = cache.get(
      'slow',
      () =>
        new Promise<string>((resolve) => {
          end = resolve;
        }),
    );
    await get('aaa');
    await get('bbb');
    assert.deepEqual([cache.has('slow'), cache.has('aaa'), cache.has('bbb')], [true, false, true]);
    end('s');
    assert.equal(await slow, 's');
    assert.equal(loads(), 2);
  });
});
