/** The rules by which linters of OpenAPI documents judge, such as Redocly's recommended ones: clients are made from it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOf } from './sources.ts';

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[];
  readonly responses?: Readonly<Record<string, { readonly description?: string }>>;
  readonly security?: readonly Readonly<Record<string, unknown>>[];
}
interface Document {
  readonly openapi: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly servers?: readonly { readonly url: string }[];
  readonly security?: Operation['security'];
  readonly components: { readonly securitySchemes: object; readonly schemas?: object };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const api = JSON.parse(textOf('docs/openapi.json')) as Document;
const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, name: `${method} ${path}`, operation })),
);

test('the document says what it is, under which licence, and where it is served', () => {
  assert.match(api.openapi, /^3\.1\.\d+$/);
  for (const field of ['title', 'version', 'description']) assert.ok(api.info[field], field);
  assert.deepEqual(api.info['license'], { name: 'MIT', identifier: 'MIT' });
  assert.ok((api.servers ?? []).length > 0);
  for (const { url } of api.servers ?? [])
    assert.ok(!url.includes('example.com') && (url === '/' || !url.endsWith('/')));
});

test('every operation has a name of its own, a summary, and says how it succeeds and how it is refused', () => {
  assert.ok(operations.length >= 8);
  const ids = operations.map(({ operation }) => operation.operationId);
  assert.equal(new Set(ids).size, ids.length);
  for (const { name, operation } of operations) {
    assert.match(operation.operationId ?? '', /^[a-z][A-Za-z]+$/, name);
    assert.ok(operation.summary, name);
    const codes = Object.keys(operation.responses ?? {});
    assert.ok(
      codes.some((code) => /^2/.test(code)),
      name,
    );
    assert.ok(
      codes.some((code) => /^4/.test(code)),
      name,
    );
    for (const [code, { description }] of Object.entries(operation.responses ?? {}))
      assert.ok(description, `${name} ${code}`);
  }
});

test('every parameter of a path is described, and none is that is not there; no two paths are the same', () => {
  for (const { path, name, operation } of operations) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, one]) => one).sort();
    const described = (operation.parameters ?? []).filter((one) => one.in === 'path');
    assert.deepEqual(described.map((one) => one.name).sort(), inPath, name);
    assert.ok(
      described.every(({ required }) => required),
      name,
    );
    const all = (operation.parameters ?? []).map((one) => `${one.in} ${one.name}`);
    assert.equal(new Set(all).size, all.length, name);
    assert.ok(!path.endsWith('/') && !path.includes('?'), name);
  }
  const shapes = Object.keys(api.paths).map((path) => path.replace(/\{\w+\}/g, '{}'));
  assert.equal(new Set(shapes).size, shapes.length);
});

test('every operation is secured by schemes that are there', () => {
  for (const { name, operation } of operations) {
    const security = operation.security ?? api.security ?? [];
    assert.ok(security.length > 0, name);
    for (const scheme of security.flatMap((one) => Object.keys(one)))
      assert.ok(scheme in api.components.securitySchemes, `${name} ${scheme}`);
  }
});

/** Every object of the document, with where it is. */
function* objectsIn(value: unknown, at = '#'): Generator<readonly [string, Readonly<Record<string, unknown>>]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [at, value as Readonly<Record<string, unknown>>];
  for (const [name, inner] of Object.entries(value)) yield* objectsIn(inner, `${at}/${name}`);
}

test('every schema means what it says in 3.1: references lead somewhere, patterns compile, and `required` is there', () => {
  let seen = 0;
  for (const [at, one] of objectsIn(api)) {
    const { $ref, pattern, required, properties, nullable, type, enum: values } = one;
    assert.equal(nullable, undefined, `${at} is of 3.0`);
    if (typeof $ref === 'string') assert.ok(resolve($ref) !== undefined, `${at} ${$ref}`);
    if (typeof pattern === 'string') assert.doesNotThrow(() => new RegExp(pattern, 'u'), at);
    if (Array.isArray(required) && properties)
      for (const name of required) assert.ok(name in (properties as object), `${at} ${name}`);
    if (Array.isArray(values) && type === 'string')
      assert.ok(
        values.every((value) => typeof value === 'string'),
        at,
      );
    seen += 1;
  }
  assert.ok(seen > 100);
});

const resolve = (ref: string): unknown =>
  ref
    .replace(/^#\//, '')
    .split('/')
    .reduce<unknown>((value, name) => (value as Readonly<Record<string, unknown>> | undefined)?.[name], api);
