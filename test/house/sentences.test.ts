import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filesUnder, textOf } from './sources.ts';

const columnsMax = 110;

/** Words that were given up, each for one that the field knows; CONTRIBUTING.md, "House rules". */
const givenUp: readonly (readonly [RegExp, string])[] = [
  [/\b(?:Stand|standFor)\b/, 'ViewerSet'],
  [/\bWheel\b/, 'StreamTimers'],
  [/\bSounding\b/, 'SendQueueProbe'],
  [/\b(?:Tally|Meter)\b/, 'StreamCounters, HubCounters'],
  [/\bTurnstile\b/, 'JoinLimiter'],
  [/\bHoles\b/, 'ReplayFloor'],
  [/\bSettler\b/, 'PendingFlush'],
  [/\bGathering\b/, 'PresenceBatch'],
  [/\bSurroundings\b/, 'StreamContext'],
  [/\bFollower\b/, 'Subscriber'],
  [/\bheadcount\b/i, 'viewer count'],
  [/\bAUDIENCE_MS\b/, 'VIEWER_COUNT_MS'],
  [/\bAUDIENCES_MAX\b/, 'AUDIENCE_CLASSES_MAX'],
  [/\bcensus\b/i, 'room list'],
  [/\bstrays?\b/i, 'misrouted'],
  [/\b(?:log|Redis) is away\b/, 'unavailable'],
  [/\bby our mistake\b|\bmistakes? of ours\b/, 'internal error'],
];

/** The changelog says what things were called; this file lists it. */
const mayNameThem = new Set(['CHANGELOG.md', 'test/house/sentences.test.ts']);
const texts = ['src', 'docs', 'test', 'tools', 'bench', 'nginx', 'pages'].flatMap(filesUnder);
const pages = filesUnder('.').filter((path) => path.endsWith('.md'));
const isRead = (path: string): boolean => /\.(?:ts|mjs|js|lua|md|ya?ml|json|conf)$/.test(path);

const wordsIn = (text: string): readonly string[] =>
  givenUp.flatMap(([pattern, instead]) => {
    const found = pattern.exec(text);
    return found === null ? [] : [`"${found[0]}", which is called ${instead}`];
  });

/** The numbers of lines that are too long. Tables and code cannot be wrapped, nor can a line of one word. */
function tooLongIn(text: string): readonly number[] {
  let isCode = false;
  return text.split('\n').flatMap((line, at) => {
    if (/^\s*```/.test(line)) isCode = !isCode;
    const isFixed = isCode || /^\s*\|/.test(line) || !/\S\s+\S/.test(line.replace(/^\s*[-*]\s+/, ''));
    return !isFixed && [...line].length > columnsMax ? [at + 1] : [];
  });
}

test('no text uses a word that was given up', () => {
  const found = [...new Set([...texts.filter(isRead), ...pages])]
    .filter((path) => !mayNameThem.has(path))
    .flatMap((path) => wordsIn(textOf(path)).map((word) => `${path}: ${word}`));
  assert.deepEqual(found, []);
});

test(`Markdown is wrapped at ${columnsMax} columns`, () => {
  const found = pages.flatMap((path) => tooLongIn(textOf(path)).map((line) => `${path}:${line}`));
  assert.deepEqual(found, []);
});

test('the rules above find what they look for', () => {
  assert.equal(wordsIn('The room log is away; a census follows').length, 2);
  assert.deepEqual(wordsIn('The room log is unavailable; standing by'), []);
  const long = 'word '.repeat(columnsMax);
  assert.deepEqual(tooLongIn(`${long}\n| ${long} |\n\`\`\`\n${long}\n\`\`\`\n- ${'x'.repeat(200)}`), [1]);
});
