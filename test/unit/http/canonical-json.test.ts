import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { canonicalBody, canonicalJson } from '../../../src/http/canonical-json.ts';

const assertSame = (...texts: string[]): void => {
  assert.equal(new Set(texts.map((text) => canonicalJson(text))).size, 1, texts.join(' and '));
};
const assertOther = (...texts: string[]): void => {
  assert.equal(new Set(texts.map((text) => canonicalJson(text))).size, texts.length, texts.join(' and '));
};

describe('the canonical form of a JSON text', () => {
  test('is one for any order of members, however deep', () => {
    assertSame('{"a":1,"b":{"c":[{"d":1,"e":2}],"f":3}}', '{"b":{"f":3,"c":[{"e":2,"d":1}]},"a":1}');
    assertSame('{"a":{"z":1},"b":{"z":2}}', '{ "b" : { "z" : 2 } , "a" : { "z" : 1 } }');
  });

  test('is one for any spelling of a string, as a name too', () => {
    assertSame('"a/b\\u0041é🎈"', '"a\\/bA\\u00e9\\ud83c\\udf88"');
    assertSame('{"\\u0062":1,"a":2}', '{"a":2,"b":1}');
    assertSame('"\\n\\t\\"\\\\"', '"\\u000a\\u0009\\u0022\\u005C"');
  });

  test('is another for another value, type, order of items or spelling of a number', () => {
    assertOther('1', '1.0', '1e0', '"1"', '[1]', '[[1]]', '{"1":1}', 'true', 'null');
    assertOther('12345678901234567890', '12345678901234567891');
    assertOther('[1,2]', '[2,1]', '[12]', '["1,2"]', '["1","2"]');
    assertOther('{"a":"b"}', '["a","b"]', '{"a":["b"]}', '"{\\"a\\":\\"b\\"}"');
    assertOther('{}', '[]', '[{}]', '[[]]', '""', '{"a":{}}', '{"a":[]}');
    assertOther('{"a":1,"a":2}', '{"a":2}', '{"a":2,"a":1}');
  });

  test('is itself JSON of the same value, whatever the value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 1, 3), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const canonical = canonicalJson(text);
        assert.deepEqual(JSON.parse(canonical), JSON.parse(text));
        assert.equal(canonicalJson(canonical), canonical);
      }),
    );
  });

  test('of the deepest and the largest body that is read takes no long time', () => {
    const deep = '['.repeat(128) + ']'.repeat(128);
    assert.equal(canonicalJson(deep), deep);
    const large = JSON.stringify({ text: '"\\'.repeat(4000), list: Array(2000).fill(1) });
    assert.deepEqual(JSON.parse(canonicalJson(large)), JSON.parse(large));
  });
});

describe('the canonical form of a body', () => {
  test('takes its own numbers by their value, and those inside its fields as they were sent', () => {
    assert.equal(canonicalBody('{"count":1.0,"gift":"rose"}'), canonicalBody('{"gift":"rose","count":1e0}'));
    assert.notEqual(canonicalBody('{"data":{"n":1.0}}'), canonicalBody('{"data":{"n":1}}'));
    assert.notEqual(canonicalBody('{"count":1}'), canonicalBody('{"count":"1"}'));
  });

  test('leaves out what is as it would be anyway', () => {
    const defaults = { audience: 'all', data: {} };
    assert.equal(canonicalBody('{"title":"a","audience":"\\u0061ll","data":{ }}', defaults), '{"title":"a"}');
    assert.equal(canonicalBody('{"audience":"staff","data":{"a":1}}', defaults), '{"audience":"staff","data":{"a":1}}');
  });

  test('takes the last of two fields of one name, as the parser does', () => {
    assert.equal(canonicalBody('{"a":1,"\\u0061":2}'), '{"a":2}');
  });
});
