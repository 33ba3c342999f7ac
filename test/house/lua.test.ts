import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leastRights } from '../rig/least-rights.ts';
import { filesUnder, textOf } from './sources.ts';

const scripts = filesUnder('src/log').filter((path) => path.endsWith('.lua'));

/** The comment that a script opens with, without its marks; empty where there is none. */
function headerOf(text: string): string {
  const block = /^\s*--\[(=*)\[([\s\S]*?)\]\1\]/.exec(text);
  if (block) return (block[2] ?? '').trim();
  return (/^(?:[ \t]*--.*\n)+/.exec(text)?.[0] ?? '').replace(/^[ \t]*--+ ?/gm, '').trim();
}

/**
 * What a header leaves out of what a reader must know before the first line of code. A file of parts that the scripts
 * share can be called by nobody, so it has nothing to return.
 */
function missingIn(header: string, isCallable: boolean = true): string[] {
  const inputs = { KEYS: /\bKEYS\b/, ARGV: /\bARGV\b/ };
  const parts = isCallable ? { ...inputs, returns: /\breturns?\b/i, errors: /\berrors?\b/i } : inputs;
  const left = Object.entries(parts).flatMap(([part, pattern]) => (pattern.test(header) ? [] : [part]));
  const first = header.split('\n')[0] ?? '';
  const hasPurpose = first.split(/\s+/).length >= 4 && !/^(?:KEYS|ARGV|returns?|errors?)\b/i.test(first);
  return hasPurpose ? left : ['purpose', ...left];
}

for (const path of scripts) {
  test(`${path} says its purpose, KEYS, ARGV, what it returns and its errors`, () => {
    const text = textOf(path);
    const isCallable = /register_function|^return\b/m.test(text);
    assert.deepEqual(missingIn(headerOf(text), isCallable), []);
  });
}

test('every command that a function uses is tried by the probe and granted by the least rights', () => {
  const probe = 'src/log/redis/scripts/probe.lua';
  const others = scripts.filter((path) => path !== probe).map(textOf);
  const used = new Set(
    others.flatMap((text) => [...text.matchAll(/\b(?:p?call|try)\('([A-Z]+)'/g)].map(([, name]) => name)),
  );
  const tried = new Set([...textOf(probe).matchAll(/\{ '([A-Z]+)'/g)].map(([, name]) => name));
  assert.deepEqual([...tried].toSorted(), [...used].toSorted());
  const own = /^\+(?:ping|fcall|function\|load|ssubscribe|sunsubscribe)$/;
  const granted = leastRights.split(' ').filter((right) => right.startsWith('+') && !own.test(right));
  assert.deepEqual(granted.map((right) => right.slice(1).toUpperCase()).toSorted(), [...used].toSorted());
});

test('a header that lacks something is found', () => {
  assert.deepEqual(missingIn(headerOf('local a = 1\n')), ['purpose', 'KEYS', 'ARGV', 'returns', 'errors']);
  assert.deepEqual(missingIn(headerOf('-- KEYS[1] the log\n-- Returns 1\nreturn 1\n')), ['purpose', 'ARGV', 'errors']);
  const whole = '-- Appends one entry, once.\n-- KEYS: 1 log\n-- ARGV: 1 body\n-- Returns: offset\n-- Errors: none\n';
  assert.deepEqual(missingIn(headerOf(`${whole}return 1\n`)), []);
  assert.deepEqual(missingIn(headerOf(`--[[\n${whole.replaceAll('-- ', '')}]]\nreturn 1\n`)), []);
});
