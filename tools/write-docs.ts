/**
 * Writes the documents that are made from the code: `npm run docs`. One line in `documents` per document; a test of the
 * house compares each with what lies in the repository.
 */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildGateway } from '../src/app.ts';
import { systemClock } from '../src/clock.ts';
import { readSettings } from '../src/settings.ts';
import { type SettingRow, settingsTable } from '../src/settings-table.ts';

export interface Document {
  /** From the root of the repository. */
  readonly path: string;
  write(): string | Promise<string>;
}

const rows: readonly SettingRow[] = settingsTable;

export const documents: readonly Document[] = [
  { path: 'docs/settings.md', write: () => settingsPage(rows) },
  { path: '.env.example', write: () => environmentExample(rows) },
  { path: 'docs/openapi.json', write: () => apiDocument() },
];

export function settingsPage(table: readonly SettingRow[]): string {
  const lines = table.map(
    (row) => `| ${[`\`${row.name}\``, defaultOf(row), boundsOf(row), meaningOf(row)].join(' | ')} |`,
  );
  return `# Settings

Made by \`npm run docs\` from \`src/settings-table.ts\`; change it there.

Every setting is an environment variable. An empty one counts as absent. The gateway refuses to start with a
wrong value and says which values are right. A setting marked † may also be read from a file: append \`_FILE\`
to its name and give the path. Line breaks at the end of the file are ignored.

| setting | default | may be | meaning, and what happens at the bound |
|---|---|---|---|
${lines.join('\n')}
`;
}

export function environmentExample(table: readonly SettingRow[]): string {
  const blocks = table.map((row) => {
    const value =
      row.kind === 'list' ? row.default.join(',') : row.kind === 'switch' ? onOff(row.default) : row.default;
    const bounds = plain(boundsOf(row));
    const sentences = bounds === 'text' ? [row.meaning] : [row.meaning, `May be: ${bounds}`];
    const notes = sentences.flatMap((sentence) => wrap(sentence, 110));
    return [...notes.map((line) => `# ${line}`), `#${row.name}=${value ?? ''}`].join('\n');
  });
  return `# Every setting with its default. Copy to .env and uncomment what differs.
# Made by \`npm run docs\` from src/settings-table.ts; docs/settings.md says more.

${blocks.join('\n\n')}
`;
}

/** The OpenAPI document as a gateway with default settings serves it at `/openapi.json`. Opens no port. */
export async function apiDocument(): Promise<string> {
  const settings = readSettings({ LOG_LEVEL: 'silent' });
  const ownSecret = randomBytes(48).toString('base64');
  const gateway = await buildGateway({ settings, clock: systemClock, ownSecret });
  try {
    await gateway.app.ready();
    return `${JSON.stringify(gateway.app.swagger(), null, 2)}\n`;
  } finally {
    await gateway.close();
  }
}

const onOff = (isOn: boolean): string => (isOn ? 'on' : 'off');

function defaultOf(row: SettingRow): string {
  if (row.kind === 'switch') return `\`${onOff(row.default)}\``;
  if (row.default === null || (row.kind === 'list' && row.default.length === 0)) return 'none';
  return `\`${row.default}\``;
}

function boundsOf(row: SettingRow): string {
  switch (row.kind) {
    case 'integer':
      return `${row.min} to ${row.max} ${row.unit === 'port' ? '(port)' : row.unit}`;
    case 'switch':
      return '`on` or `off`';
    case 'choice':
      return row.choices.map((choice) => `\`${choice}\``).join(', ');
    case 'list':
      return 'a list, separated by commas';
    case 'text':
      return `${row.patternMeaning ?? 'text'}${row.isSecret ? ' †' : ''}`;
  }
}

function meaningOf(row: SettingRow): string {
  const atBound = row.kind === 'integer' && row.atBound ? ` At the bound: ${lowerFirst(row.atBound)}` : '';
  return `${row.meaning}${atBound}`.replaceAll('|', '\\|');
}

/** Only a plain word loses its capital: a name in capitals keeps it. */
const lowerFirst = (sentence: string): string =>
  /^[A-Z][a-z]* /.test(sentence) ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : sentence;

/** The dagger becomes words, and code marks go: the example file is no Markdown. */
const plain = (text: string): string =>
  text.endsWith(' †') ? `${plain(text.slice(0, -2))}; or set the name with _FILE` : text.replaceAll('`', '');

function wrap(sentence: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of sentence.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

async function writeAll(): Promise<void> {
  const root = new URL('../', import.meta.url);
  for (const { path, write } of documents) {
    writeFileSync(fileURLToPath(new URL(path, root)), await write());
    console.log(`wrote ${path}`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await writeAll();
