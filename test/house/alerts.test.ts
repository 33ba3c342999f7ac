/** The alerting rules as Prometheus reads them. Which metrics they may name is held by `metrics.test.ts`. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { root, textOf } from './sources.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}
interface Rules {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
}

const file = parse(textOf('docs/alerts.yml')) as Rules;
const rules = file.groups.flatMap((group) => group.rules);
/** Prometheus' own: such as 5m, 1h30m. */
const duration = /^(?:\d+(?:ms|[smhdwy]))+$/;
/** What an expression may call, beside naming metrics and labels. */
const known = new Set([
  'sum',
  'max',
  'min',
  'avg',
  'count',
  'rate',
  'increase',
  'histogram_quantile',
  'delta',
  'deriv',
  'absent',
  'time',
  'by',
  'without',
  'on',
  'ignoring',
  'group_left',
  'group_right',
  'and',
  'or',
  'unless',
  'offset',
  'bool',
  'abs',
  'changes',
  'clamp_min',
  'max_over_time',
  'min_over_time',
  'avg_over_time',
  'le',
]);

test('the file has the fields of alerting rules and no others', () => {
  assert.deepEqual(Object.keys(file), ['groups']);
  for (const { name, rules: its, ...others } of file.groups) {
    assert.ok(name && its.length > 0);
    assert.deepEqual(Object.keys(others), []);
  }
  assert.ok(rules.length >= 5);
  for (const rule of rules) {
    const strange = Object.keys(rule).filter((key) => !['alert', 'expr', 'for', 'labels', 'annotations'].includes(key));
    assert.deepEqual(strange, [], rule.alert);
    assert.match(rule.alert, /^Ringside[A-Z]\w+$/);
    assert.match(rule.for ?? '0s', duration, rule.alert);
    for (const value of [...Object.values(rule.labels), ...Object.values(rule.annotations)])
      assert.equal(typeof value, 'string', `${rule.alert}: ${value}`);
  }
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
});

test('every expression is closed, compares, has ranges where it needs them, and calls nothing that is not there', () => {
  for (const { alert, expr } of rules) {
    const bare = expr.replace(/"[^"]*"/g, '""');
    const open: string[] = [];
    for (const char of bare.match(/[()[\]{}]/g) ?? []) {
      const opens = { ')': '(', ']': '[', '}': '{' }[char];
      if (opens === undefined) open.push(char);
      else assert.equal(open.pop(), opens, alert);
    }
    assert.deepEqual(open, [], alert);
    assert.match(bare, /[<>]|==|!=|\babsent\b/, `${alert} compares with something`);
    for (const [, range = ''] of bare.matchAll(/\[([^\]]*)\]/g)) assert.match(range, duration, alert);
    for (const [, inner = ''] of bare.matchAll(/\b(?:rate|increase|changes)\(([^()]*)\)/g))
      assert.match(inner, /\[\w+\]$/, `${alert}: ${inner}`);
    for (const [, called = ''] of bare.matchAll(/\b([a-z_]+)\s*\(/g))
      assert.ok(known.has(called), `${alert}: ${called}`);
  }
});

test('every template names a label or a value that an alert has', () => {
  for (const { alert, annotations } of rules) {
    for (const text of Object.values(annotations)) {
      assert.equal(text.split('{{').length, text.split('}}').length, alert);
      for (const [, inside = ''] of text.matchAll(/\{\{(.*?)\}\}/g))
        assert.match(inside.trim(), /^(?:\$labels\.[a-z_]+|\$value(?: \| [a-zA-Z0-9]+)*)$/, `${alert}: ${inside}`);
    }
  }
});

test('Prometheus itself finds no fault, where it is at hand; and nothing but Prometheus is asked', () => {
  const { error, status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', join(root, 'docs/alerts.yml')], {
    encoding: 'utf8',
  });
  if (error)
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT', 'it is not there, and nothing else is wrong');
  else assert.deepEqual([status, /SUCCESS: \d+ rules? found/.test(stdout)], [0, true], stdout + stderr);
});
