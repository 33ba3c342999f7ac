/**
 * Reads the text format of Prometheus (version 0.0.4) as its specification says, and fails on anything that it does not
 * allow: a sample without a TYPE before it, a series told twice, a histogram whose buckets do not add up.
 */

import assert from 'node:assert/strict';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class MetricsText {
  readonly samples: readonly Sample[];
  readonly #byKey: ReadonlyMap<string, number>;

  constructor(text: string) {
    assert.match(text, /\n$/, 'the last line must end');
    this.samples = readLines(text.split('\n'));
    this.#byKey = new Map(this.samples.map((sample) => [keyOf(sample.name, sample.labels), sample.value]));
    assert.equal(this.#byKey.size, this.samples.length, 'a series is told twice');
    checkHistograms(this.samples);
  }

  /** The value of one series. */
  of(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const value = this.#byKey.get(keyOf(name, labels));
    assert.notEqual(value, undefined, `there is no ${keyOf(name, labels)}`);
    return Number(value);
  }

  /** All values of a label that are not 0, such as how many gaps there were for each cause. */
  by(name: string, label: string): Record<string, number> {
    const its = this.samples.filter((sample) => sample.name === name && sample.value !== 0);
    return Object.fromEntries(its.map(({ labels, value }) => [labels[label] ?? '', value]));
  }
}

const keyOf = (name: string, labels: Readonly<Record<string, string>>): string =>
  JSON.stringify([name, Object.entries(labels).sort()]);

function readLines(lines: readonly string[]): Sample[] {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  for (const line of lines) {
    const [, name = '', type = ''] =
      /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line) ?? [];
    if (name !== '') {
      assert(!types.has(name), `${name} has two types`);
      types.set(name, type);
    }
    if (line === '' || line.startsWith('#')) continue;
    const sample = readSample(line);
    const family = sample.name.replace(/_(?:bucket|sum|count)$/, '');
    const isTyped = types.has(sample.name) || types.get(family) === 'histogram';
    assert(isTyped, `${sample.name} comes before its type`);
    samples.push(sample);
  }
  return samples;
}

function readSample(line: string): Sample {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  assert(match, `not a sample: ${line}`);
  const [, name = '', inside = '', value = ''] = match;
  const labels: Record<string, string> = {};
  const rest = inside.replace(/([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)",?/g, (_, label: string, text: string) => {
    labels[label] = text;
    return '';
  });
  assert.equal(rest, '', `not labels: ${inside}`);
  const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value);
  assert(!Number.isNaN(number), `not a number: ${line}`);
  return { name, labels, value: number };
}

function checkHistograms(samples: readonly Sample[]): void {
  const last = new Map<string, { value: number; le: number }>();
  for (const { name, labels, value } of samples) {
    if (!name.endsWith('_bucket')) continue;
    const { le = '', ...others } = labels;
    const key = keyOf(name, others);
    const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    const before = last.get(key) ?? { value: 0, le: Number.NEGATIVE_INFINITY };
    assert(bound > before.le && value >= before.value, `the buckets of ${key} do not rise`);
    last.set(key, { value, le: bound });
  }
  for (const [key, { value, le }] of last) {
    const [name, labels] = JSON.parse(key) as [string, [string, string][]];
    const count = samples.find(
      (one) => keyOf(one.name, one.labels) === keyOf(name.replace(/_bucket$/, '_count'), Object.fromEntries(labels)),
    );
    assert(le === Number.POSITIVE_INFINITY && count?.value === value, `the count of ${key} is not its last bucket`);
  }
}
