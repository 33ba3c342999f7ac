import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify';
import { Type } from 'typebox';
import { Refusal, type RefusalCode, refusals } from '../../src/errors.ts';
import { acceptJson, bodyBytesMax, compactJson, memberText } from '../../src/http/json-body.ts';
import { loggerOptions } from '../../src/http/logging.ts';
import { registerProblems, sendProblem } from '../../src/http/problem.ts';
import { checkShape } from '../../src/http/schemas.ts';

const lines: string[] = [];
let app: FastifyInstance;
let thrown: unknown;

before(async () => {
  app = Fastify({
    logger: loggerOptions({ logLevel: 'info' }, { write: (line) => void lines.push(line) }),
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
  });
  registerProblems(app);
  app.get('/throw', async () => {
    throw thrown;
  });
  app.get(
    '/things/:id',
    { schema: { params: Type.Object({ id: Type.String({ pattern: '^[a-z]+$' }) }) }, validatorCompiler: checkShape },
    async () => 'thing',
  );
  app.get('/files/*', async () => 'file');
  await app.register(async (inner) => {
    acceptJson(inner, 32);
    inner.post('/body', { bodyLimit: bodyBytesMax }, async () => 'taken');
  });
  await app.ready();
});
after(() => app.close());

const throwing = async (error: unknown): Promise<LightMyRequestResponse> => {
  thrown = error;
  return app.inject('/throw');
};
const post = (payload: string | Buffer, contentType = 'application/json') =>
  app.inject({ method: 'POST', url: '/body', payload, headers: { 'content-type': contentType } });

function assertProblem(answer: LightMyRequestResponse, code: RefusalCode): Record<string, unknown> {
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  const body = answer.json();
  assert.equal(body.code, code);
  assert.equal(body.status, refusals[code].status);
  assert.equal(answer.statusCode, refusals[code].status);
  assert.equal(body.title, refusals[code].title);
  assert.equal(body.type, `urn:ringside:problem:${code}`);
  assert.equal(typeof body.detail, 'string');
  return body;
}

describe('a refusal', () => {
  for (const code of Object.keys(refusals) as RefusalCode[]) {
    it(`is answered with the status, title and code of the catalogue: ${code}`, async () => {
      assert.equal(assertProblem(await throwing(new Refusal(code, 'Because.')), code)['detail'], 'Because.');
    });
  }

  it('says when to come back where that is known, and 1 second where it is not', async () => {
    const after = async (code: RefusalCode, extras = {}) =>
      (await throwing(new Refusal(code, 'x', extras))).headers['retry-after'];
    assert.equal(await after('rate-limited', { retryAfterS: 3.2 }), '4');
    assert.equal(await after('rate-limited'), '1');
    assert.equal(await after('log-unavailable'), '1');
    assert.equal(await after('outcome-unknown', { retryAfterS: 0 }), '1');
    assert.equal(await after('muted', { retryAfterS: 9 }), undefined);
  });

  it('tells the version that there is', async () => {
    assert.equal((await throwing(new Refusal('version-conflict', 'x', { version: 7 }))).json().version, 7);
  });
});

describe('a bug', () => {
  for (const error of [new TypeError('canary'), Object.assign(new Error('canary'), { statusCode: 500 }), 'canary']) {
    it(`is answered without a word of what happened, and logged: ${String(error)}`, async () => {
      lines.length = 0;
      const answer = await throwing(error);
      const body = assertProblem(answer, 'internal');
      assert.ok(!answer.body.includes('canary'));
      assert.match(String(body['instance']), /^urn:ringside:request:req-/);
      assert.equal(lines.filter((line) => line.includes('canary')).length, 1);
    });
  }
});

describe('a body', () => {
  it('that is JSON is taken', async () => {
    assert.equal((await post('{"a":[1]}')).statusCode, 200);
    assert.equal((await post('\uFEFF{}')).statusCode, 200);
    assert.equal((await post('')).statusCode, 200, 'no body is for the route to judge');
  });

  const malformed: Record<string, string | Buffer> = {
    'no JSON': '{"a":',
    'two values': '1 2',
    'poison by __proto__': '{"__proto__":{"a":1}}',
    'poison by constructor': '{"constructor":{"prototype":{"a":1}}}',
    'not UTF-8': Buffer.from([0x22, 0xff, 0x22]),
    '33 levels': '['.repeat(33) + ']'.repeat(33),
    '16,384 levels': '['.repeat(16_384),
  };
  for (const [what, payload] of Object.entries(malformed)) {
    it(`is malformed when it is ${what}`, async () => {
      assertProblem(await post(payload), 'malformed');
    });
  }

  it('of 200,000 levels is too large, and quickly so', async () => {
    assertProblem(await post('['.repeat(200_000)), 'too-large');
  });

  it('of 16,384 bytes is taken and one more is too large', async () => {
    assert.equal((await post(`"${'x'.repeat(bodyBytesMax - 2)}"`)).statusCode, 200);
    assertProblem(await post(`"${'x'.repeat(bodyBytesMax - 1)}"`), 'too-large');
  });

  it('of another media type is refused, also where a browser would send it without a preflight', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'nonsense']) {
      assertProblem(await post('{}', type), 'unsupported-media-type');
    }
  });
});

describe('compacting JSON', () => {
  it('strips white space between parts and nothing else', () => {
    const cases: [string, string][] = [
      [' { "a b" : [ 1 , "\\" ]  [" ] }\r\n', '{"a b":[1,"\\" ]  ["]}'],
      ['12345678901234567890.10', '12345678901234567890.10'],
      ['"\\\\" ', '"\\\\"'],
    ];
    for (const [text, compact] of cases) assert.equal(compactJson(text, 8), compact);
  });

  it('counts levels outside strings only', () => {
    assert.equal(compactJson('[[]]', 2), '[[]]');
    assert.equal(compactJson('[[[]]]', 2), null);
    assert.equal(compactJson('["[[[["]', 1), '["[[[["]');
    assert.equal(compactJson('[[],[],[]]', 2), '[[],[],[]]');
  });
});

describe('a member of an object as it was sent', () => {
  it('keeps its digits, its escapes and what looks like an end', () => {
    const cases: [object: string, name: string, text: string | null][] = [
      ['{"a":1.10,"data":12345678901234567890}', 'data', '12345678901234567890'],
      ['{"data":{"x":[1e2,"]}\\",",{}]},"a":1}', 'data', '{"x":[1e2,"]}\\",",{}]}'],
      ['{"x":{"data":1},"data":2}', 'data', '2'],
      ['{"data":1,"data":-0}', 'data', '-0'],
      ['{"d\\u0061ta":"\\u0041"}', 'data', '"\\u0041"'],
      ['{"\\"data":1}', 'data', null],
      ['{}', 'data', null],
    ];
    for (const [object, name, text] of cases) assert.equal(memberText(object, name), text, object);
  });

  it('is what a parser reads there, whatever the object is', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        const text = compactJson(JSON.stringify(object, null, 2), 1000) ?? '';
        for (const name of Object.keys(object))
          assert.equal(memberText(text, name), JSON.stringify(object[name]), `${name} in ${text}`);
      }),
    );
  });
});

describe('a path', () => {
  it('with a part of the wrong form is malformed, and the answer points at it', async () => {
    const body = assertProblem(await app.inject('/things/A1'), 'malformed');
    assert.deepEqual(body['errors'], [{ pointer: '#/id', detail: 'must match pattern "^[a-z]+$"' }]);
  });

  it('that nothing is served at is not found', async () => {
    assertProblem(await app.inject('/nowhere?x=1'), 'not-found');
    assertProblem(await app.inject('/things/a/b'), 'not-found');
  });

  it('with another method says which ones there are', async () => {
    const answer = await app.inject({ method: 'DELETE', url: '/things/a?x=1' });
    assertProblem(answer, 'method-not-allowed');
    assert.equal(answer.headers['allow'], 'GET, HEAD');
  });

  it('that cannot be decoded or is far too long is malformed', async () => {
    assertProblem(await app.inject('/things/%zz'), 'malformed');
    assertProblem(await app.inject(`/things/${'a'.repeat(500)}`), 'malformed');
  });
});
