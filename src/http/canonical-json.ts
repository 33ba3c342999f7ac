/**
 * The canonical form of JSON texts, for the digest of an idempotency key: members are sorted, strings are escaped alike,
 * and white space is removed. Numbers keep their digits, as state values do: `1` and `1.0` are two values there. Takes
 * texts that a JSON parser has accepted.
 */

/** A string, a number, a word or a bracket. Commas and colons are redundant. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]|[^\s"[\]{}:,]+/g;
const number = /^-?[0-9]/;

type Member = readonly [name: string, value: string];

export function canonicalJson(text: string): string {
  return readValue(tokensOf(text));
}

/**
 * The same for an action's body, an object with known fields: its own numbers count by value, and a field that holds its
 * default counts as absent.
 */
export function canonicalBody(text: string, defaults: Readonly<Record<string, unknown>> = {}): string {
  const tokens = tokensOf(text);
  tokens.next();
  // As in a parser, the last of two members of one name wins.
  const fields = new Map(readMembers(tokens).map(([name, value]) => [JSON.parse(name) as string, value]));
  for (const [name, value] of fields) if (number.test(value)) fields.set(name, String(Number(value)));
  for (const [name, value] of Object.entries(defaults)) {
    if (fields.get(name) === canonicalJson(JSON.stringify(value))) fields.delete(name);
  }
  return joinMembers([...fields].map(([name, value]) => [JSON.stringify(name), value]));
}

function* tokensOf(text: string): Generator<string, undefined> {
  for (const [found] of text.matchAll(token)) yield found;
}

function readValue(tokens: Generator<string, undefined>, first = tokens.next().value): string {
  if (first === '{') return joinMembers(readMembers(tokens));
  if (first !== '[') return first === undefined ? '' : canonicalScalar(first);
  const items: string[] = [];
  for (let next = tokens.next().value; next !== undefined && next !== ']'; next = tokens.next().value) {
    items.push(readValue(tokens, next));
  }
  return `[${items.join(',')}]`;
}

/** Up to the bracket that closes the object; the one that opens it has been read. */
function readMembers(tokens: Generator<string, undefined>): Member[] {
  const members: Member[] = [];
  for (let name = tokens.next().value; name !== undefined && name !== '}'; name = tokens.next().value) {
    members.push([canonicalScalar(name), readValue(tokens)]);
  }
  return members;
}

const canonicalScalar = (text: string): string => (text.startsWith('"') ? JSON.stringify(JSON.parse(text)) : text);

/** Sorted by name; two of one name stay in the order in which they were sent. */
const joinMembers = (members: readonly Member[]): string =>
  `{${members
    .toSorted(([one], [other]) => (one < other ? -1 : Number(one > other)))
    .map(([name, value]) => `${name}:${value}`)
    .join(',')}}`;
