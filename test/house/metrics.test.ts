import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { HubCounters } from '../../src/fanout/hub-counters.ts';
import { LogCalls } from '../../src/ops/log-calls.ts';
import { LoopDelay } from '../../src/ops/loop-delay.ts';
import { Metrics } from '../../src/ops/metrics.ts';
import { MetricsText } from '../rig/metrics-text.ts';
import { textOf } from './sources.ts';

const loopDelay = new LoopDelay(systemClock);
after(() => loopDelay.close());
const metrics = new Metrics({
  nodeId: 'n',
  group: 'g',
  version: '1',
  isReady: () => true,
  hub: { viewers: 0, rooms: 0, hubCounters: new HubCounters() },
  handover: { isDraining: false, moved: 0, misrouted: 0 },
  logCalls: new LogCalls(),
  loopDelay,
  log: { health: () => ({ trouble: null, risks: [] }) },
  tokensRefused: { expired: 0 },
});
const { samples } = new MetricsText(await metrics.text());
/** What a query may name: the series as they are told, with what a histogram adds to its name. */
const known = new Set([...metrics.names, ...metrics.names.flatMap((name) => [`${name}_bucket`, `${name}_sum`])]);
for (const name of metrics.names) known.add(`${name}_count`);
/** Values of a label that are told from the start; such as functions of the log are not. */
const valuesOf = (name: string, label: string): Set<string> =>
  new Set(samples.filter((one) => one.name === name).flatMap(({ labels }) => labels[label] ?? []));

interface Selector {
  readonly name: string;
  readonly label: string;
  readonly values: readonly string[];
}

const namesIn = (text: string): string[] => [
  ...new Set([...text.matchAll(/\b(?:ringside|process|nodejs)_[a-z_]+\b/g)].map(([name]) => name)),
];

/** Each label of each series that is chosen by, such as `x{cause="a|b"}`. */
function selectorsIn(text: string): Selector[] {
  return [...text.matchAll(/\b([a-z_]+)\{([^}]*)\}/g)].flatMap(([, name = '', inside = '']) =>
    [...inside.matchAll(/(\w+)=~?"([^"]*)"/g)].map(([, label = '', values = '']) => ({
      name,
      label,
      values: values.split('|'),
    })),
  );
}

/** The expressions of all panels and variables of the dashboard, as text. */
function dashboardQueries(): string[] {
  const dashboard = JSON.parse(textOf('docs/grafana.json')) as {
    panels: { title: string; targets?: { expr: string }[] }[];
    templating: { list: { definition?: string }[] };
  };
  return [
    ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...dashboard.templating.list.flatMap(({ definition = [] }) => definition),
  ];
}

const alerts = textOf('docs/alerts.yml');
const operations = textOf('docs/operations.md');

test('the operations page explains every metric, with its labels, and none that is gone', () => {
  const section = operations.split(/^## /m).find((text) => text.startsWith('What each metric means')) ?? '';
  const rows = [...section.matchAll(/^\| `([a-z_]+)` \|([^|]*)\|/gm)];
  assert.deepEqual(rows.map(([, name]) => name).sort(), [...metrics.names].sort());
  for (const [, name = '', cell = ''] of rows) {
    const labels = [...cell.matchAll(/`(\w+)`/g)].map(([, label = '']) => label);
    const told = samples.find((one) => one.name === name);
    // The functions of the log are told once they were called.
    if (told !== undefined) assert.deepEqual(labels, Object.keys(told.labels), `the labels of ${name}`);
  }
});

test('the operations page names every value that a label has from the start', () => {
  for (const label of ['verdict', 'kind']) {
    const values = new Set(samples.flatMap(({ labels }) => labels[label] ?? []));
    for (const value of values) assert.ok(operations.includes(`\`${value}\``), `${label} ${value}`);
  }
  for (const name of ['ringside_turned_away_total', 'ringside_gaps_total']) {
    for (const value of valuesOf(name, 'cause')) assert.ok(operations.includes(`\`${value}\``), `${name} ${value}`);
  }
});

for (const [what, text] of [
  ['the dashboard', dashboardQueries().join('\n')],
  ['the alerts', alerts],
  ['the operations page', operations],
] as const) {
  test(`${what} asks for nothing that no gateway tells`, () => {
    assert.deepEqual(
      namesIn(text).filter((name) => !known.has(name)),
      [],
    );
    // `instance` is Prometheus' own.
    const chosen = selectorsIn(text).filter(({ label }) => label !== 'instance');
    const lost = chosen.filter(({ name, label, values }) => {
      const told = valuesOf(name, label);
      return values.some((value) => !value.startsWith('$') && !told.has(value));
    });
    assert.deepEqual(lost, []);
  });
}

test('the dashboard shows every metric', () => {
  const shown = new Set(
    namesIn(dashboardQueries().join('\n')).map((name) => name.replace(/_(?:bucket|sum|count)$/, '')),
  );
  assert.deepEqual(
    metrics.names.filter((name) => !shown.has(name)),
    [],
  );
});

test('the dashboard can be imported: panels have ids of their own, a place that is free, and a data source to choose', () => {
  const { panels, uid, schemaVersion } = JSON.parse(textOf('docs/grafana.json')) as {
    uid: string;
    schemaVersion: number;
    panels: { id: number; gridPos: { x: number; y: number; w: number; h: number }; datasource?: { uid: string } }[];
  };
  assert.equal(uid, 'ringside');
  assert.ok(schemaVersion >= 39);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const chosen = ['$', '{datasource}'].join('');
  const taken = new Set<string>();
  for (const { gridPos, datasource } of panels) {
    if (datasource !== undefined) assert.equal(datasource.uid, chosen);
    assert.ok(gridPos.x + gridPos.w <= 24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        assert.ok(!taken.has(`${x} ${y}`), `two panels at ${x} ${y}`);
        taken.add(`${x} ${y}`);
      }
    }
  }
});

test('every alert says how urgent it is and what to do, and the operations page has the same ones', () => {
  const rules = alerts.split(/^ {6}- alert: /m).slice(1);
  const names = rules.map((rule) => rule.split('\n', 1)[0] ?? '');
  for (const rule of rules) {
    assert.match(rule, /\n {8}expr: (?:\|\n {10})?\S/);
    assert.match(rule, /\n {10}severity: (?:page|ticket)\n/);
    assert.match(rule, /\n {10}summary: \S.*\n {10}action: \S/);
    const query = rule.slice(rule.indexOf('expr:'), rule.indexOf('labels:'));
    for (const [opens, closes] of ['()', '[]', '{}']) {
      assert.equal(query.split(opens ?? '').length, query.split(closes ?? '').length, `${opens}${closes} in ${query}`);
    }
  }
  const section = operations.split(/^## /m).find((text) => text.startsWith('Alerts worth waking for')) ?? '';
  assert.deepEqual(
    [...section.matchAll(/^\| `(Ringside\w+)` \|/gm)].map(([, name]) => name),
    names,
  );
});

test('the rules above find what they look for', () => {
  assert.deepEqual(namesIn('rate(ringside_a_total{x="y"}[5m]) / process_b'), ['ringside_a_total', 'process_b']);
  assert.deepEqual(selectorsIn('sum(ringside_a{cause=~"b|c",instance=~"$instance"})'), [
    { name: 'ringside_a', label: 'cause', values: ['b', 'c'] },
    { name: 'ringside_a', label: 'instance', values: ['$instance'] },
  ]);
});
