import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GroupsRefusal, hotRoomsMax, readGroups, serversMax, writeGroups } from '../../../src/groups/groups-file.ts';

const server = (name: string, more: object = {}) => ({ name, address: `unix:/run/ringside/${name}.sock`, ...more });
const good = {
  groups: {
    blue: { weight: 2, servers: [server('blue-1', { admin: 'http://127.0.0.1:9081' })] },
    green: { servers: [server('green-1', { weight: 3, drain: true }), server('green-2')] },
  },
};

const refusalOf = (value: unknown): readonly string[] => {
  try {
    readGroups(typeof value === 'string' ? value : JSON.stringify(value));
  } catch (error) {
    assert.ok(error instanceof GroupsRefusal);
    return error.sentences;
  }
  return [];
};

describe('a groups file', () => {
  it('is read with its defaults', () => {
    const groups = readGroups(JSON.stringify({ ...good, hotRooms: { 'match-7': ['green', 'blue'] } }));
    assert.deepEqual(groups.listen, ['127.0.0.1:8000']);
    assert.equal(groups.publicUrl, null);
    assert.deepEqual(
      groups.groups.map(({ name, weight }) => [name, weight]),
      [
        ['blue', 2],
        ['green', 1],
      ],
    );
    assert.deepEqual(groups.groups[1]?.servers[0], {
      name: 'green-1',
      address: 'unix:/run/ringside/green-1.sock',
      admin: null,
      weight: 3,
      isDrained: true,
    });
    assert.deepEqual([...groups.hotRooms], [['match-7', ['blue', 'green']]]);
  });

  it('says the same after it was written and read again', () => {
    const groups = readGroups(
      JSON.stringify({ ...good, public: 'https://live.example.org', unlimited: ['10.0.0.0/8'] }),
    );
    assert.deepEqual(readGroups(writeGroups(groups)), groups);
  });

  const refused: readonly [string, unknown, RegExp][] = [
    ['is not JSON', '{"groups":', /not JSON/],
    ['is no object', [], /The file must be an object/],
    ['has no groups', {}, /groups must be an object/],
    ['has an empty list of groups', { groups: {} }, /at least one group/],
    ['has a field that is not known', { ...good, grups: {} }, /unknown field: grups/],
    ['has a field that is not known in a server', withServer({ adress: 'x' }), /unknown field: adress/],
    [
      'has weight 0 everywhere',
      { groups: { blue: { weight: 0, servers: [server('a')] } } },
      /At least one group must have a weight above 0/,
    ],
    [
      'has a negative weight',
      { groups: { blue: { weight: -1, servers: [server('a')] } } },
      /whole number from 0 to 1000/,
    ],
    ['has a group without servers', { groups: { blue: { servers: [] } } }, /must have a list of servers/],
    ['has only drained servers in a group', withServer({ drain: true }), /Every server of the group blue is drained/],
    ['names a server twice', twice(server('a'), { ...server('b'), name: 'a' }), /server name a is listed twice/],
    ['has an address twice', twice(server('a'), { ...server('a'), name: 'b' }), /address unix:\S+ is listed twice/],
    [
      'has an admin address twice',
      twice(server('a', { admin: 'http://127.0.0.1:1' }), server('b', { admin: 'http://127.0.0.1:1' })),
      /admin address http:\/\/127.0.0.1:1 is listed twice/,
    ],
    ['has groups that differ in capitals only', { groups: { a: good.groups.blue, A: good.groups.green } }, /twice/],
    ['calls a group hot', { groups: { Hot: good.groups.blue } }, /must not be named Hot/],
    ['names a group by a number', { groups: { 1: good.groups.blue } }, /"1" is not a group name/],
    ['has a hot room in an unknown group', { ...good, hotRooms: { a: ['red'] } }, /a names the unknown group "red"/],
    ['has a hot room in no group', { ...good, hotRooms: { a: [] } }, /a must have a list of groups/],
    ['has a hot room twice in a group', { ...good, hotRooms: { a: ['blue', 'blue'] } }, /names a group twice/],
    ['has a hot room that is none', { ...good, hotRooms: { 'a b': ['blue'] } }, /"a b" is not a room id/],
    ['would end a word of nginx', withServer({ address: "unix:/run/a'; }" }), /must have an address/],
    ['has a port that is none', withServer({ address: '127.0.0.1:70000' }), /must have an address/],
    ['has a socket path that is too long', withServer({ address: `unix:/${'a'.repeat(107)}` }), /must have an address/],
    ['listens nowhere', { ...good, listen: [] }, /listen must name at least one/],
    ['listens at a name', { ...good, listen: ['example.org:80'] }, /"example.org:80" is not an address/],
    ['has a public address with a path', { ...good, public: 'https://a.example/x' }, /public must be an address/],
    ['trusts what is no network', { ...good, trustedProxies: ['proxy'] }, /"proxy" is neither/],
    [
      'has too many servers',
      { groups: { blue: { servers: Array.from({ length: serversMax + 1 }, (_, at) => server(`s${at}`)) } } },
      /at most 256 servers/,
    ],
    [
      'has too many hot rooms',
      {
        ...good,
        hotRooms: Object.fromEntries(Array.from({ length: hotRoomsMax + 1 }, (_, at) => [`r${at}`, ['blue']])),
      },
      /at most 256 rooms/,
    ],
  ];
  for (const [what, value, sentence] of refused) {
    it(`is refused when it ${what}`, () => {
      assert.match(refusalOf(value).join('\n'), sentence);
    });
  }

  it('is told everything that is wrong with it at once, each once', () => {
    const sentences = refusalOf({
      groups: { blue: { weight: 0, servers: [server('a'), server('a')] } },
      hotRooms: { '': ['blue'], b: ['red'] },
      more: 1,
    });
    assert.equal(sentences.length, 6, sentences.join('\n'));
  });

  it('is refused when a running nginx could not tell the whole of it', () => {
    const servers = (group: number) =>
      Array.from({ length: 4 }, (_, at) => server(`g${group}-${at}`, { admin: `http://10.${group}.0.${at}:9080` }));
    const groups = Object.fromEntries(
      Array.from({ length: 64 }, (_, at) => [`g${'x'.repeat(28)}${at}`, { servers: servers(at) }]),
    );
    const hotRooms = Object.fromEntries(
      Array.from({ length: 256 }, (_, at) => [`${'r'.repeat(60)}${at}`, Object.keys(groups)]),
    );
    assert.match(refusalOf({ groups, hotRooms }).join(), /at most 100000 characters/);
  });
});

function withServer(fields: object): object {
  return { groups: { blue: { servers: [server('a', fields)] } } };
}

function twice(one: object, other: object): object {
  return { groups: { blue: { servers: [one, other] } } };
}
