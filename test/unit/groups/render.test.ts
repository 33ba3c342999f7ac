import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readGroups } from '../../../src/groups/groups-file.ts';
import { groupsConf, originIn, render } from '../../../src/groups/render.ts';

const fileOf = (name: string): string => readFileSync(new URL(`../../../nginx/${name}`, import.meta.url), 'utf8');
const server = (name: string, more: object = {}) => ({ name, address: `unix:/run/ringside/${name}.sock`, ...more });
const groupsOf = (more: object = {}) =>
  readGroups(
    JSON.stringify({
      groups: {
        blue: { servers: [server('blue-1'), server('blue-2', { drain: true })] },
        green: { servers: [{ name: 'green-1', address: '10.0.0.1:8080', weight: 2 }] },
      },
      ...more,
    }),
  );
const confOf = (more?: object): string => render(groupsOf(more)).files.get(groupsConf) ?? '';
const upstreamIn = (conf: string, name: string): string => conf.split(`upstream ${name} {`)[1]?.split('\n}')[0] ?? '';

describe('what is rendered', () => {
  it('lies in the repository as the groups file there says', () => {
    for (const [name, text] of render(readGroups(fileOf('groups.json'))).files) {
      assert.equal(fileOf(`generated/${name}`), text, 'run `npx ringside groups render`');
    }
  });

  it('is the same for the same groups, and has another digest for others', () => {
    assert.deepEqual(render(groupsOf()), render(groupsOf()));
    assert.notEqual(render(groupsOf()).digest, render(groupsOf({ unlimited: ['10.0.0.1'] })).digest);
  });

  it('carries the groups that it was made from', () => {
    const groups = groupsOf({ hotRooms: { 'match-7': ['blue', 'green'] }, public: 'https://live.example.org' });
    assert.deepEqual(originIn(render(groups).files.get(groupsConf) ?? ''), groups);
    assert.equal(originIn('map "" $ringside_origin_0 { default \'{}\'; }'), null);
  });

  it('carries them in words that nginx can take, also when they are long', () => {
    const servers = Array.from({ length: 200 }, (_, at) => server(`s${at}`, { admin: `http://10.0.0.${at}:9080` }));
    const groups = readGroups(JSON.stringify({ groups: { blue: { servers } } }));
    const conf = render(groups).files.get(groupsConf) ?? '';
    assert.deepEqual(originIn(conf), groups);
    const longest = Math.max(...conf.split('\n').map((line) => line.length));
    assert.ok(longest < 4096, `a line of ${longest}`);
  });

  it('sends streams where the fewest are, and has other groups stand in', () => {
    const streams = upstreamIn(confOf(), 'blue.streams');
    assert.match(streams, /least_conn;/);
    assert.match(streams, /server unix:\/run\/ringside\/blue-1\.sock weight=1 max_fails=1 fail_timeout=3s; # blue-1/);
    assert.match(streams, /blue-2\.sock weight=1 max_fails=1 fail_timeout=3s down; # blue-2/);
    assert.match(streams, /server 10\.0\.0\.1:8080 weight=200 max_fails=1 fail_timeout=3s backup; # green-1/);
    assert.match(streams, /blue-1\.sock weight=1 max_fails=0 backup; # blue-1/);
    assert.match(upstreamIn(confOf(), 'blue.writes'), /keepalive 32;/);
    // A drained server gets nothing from anybody.
    assert.doesNotMatch(upstreamIn(confOf(), 'green.streams'), /blue-2/);
    assert.equal(streams.match(/blue-2/g)?.length, 2, 'its line, and no other');
  });

  it('gives a hot room the servers of all its groups, and names it case for case', () => {
    const conf = confOf({ hotRooms: { 'Match.7': ['blue', 'green'], default: ['green'] } });
    const place = /"~\^Match\\\.7\$" (hot\+[0-9a-f]{8});/.exec(conf)?.[1] ?? '';
    assert.match(conf, /"~\^default\$" green;/);
    const streams = upstreamIn(conf, `${place}.streams`);
    assert.match(streams, /blue-1/);
    assert.match(streams, /green-1/);
  });

  it('has servers that are all left alone asked once more', () => {
    const conf = confOf({
      groups: { blue: { servers: ['a', 'b', 'c'].map((name) => server(name, { drain: name === 'c' })) } },
    });
    const again = upstreamIn(conf, 'blue.writes').match(/^.* backup;.*$/gm) ?? [];
    assert.deepEqual(
      again.map((line) => line.trim()),
      ['a', 'b'].map((name) => `server unix:/run/ringside/${name}.sock weight=1 max_fails=0 backup; # ${name}`),
    );
    // Of one server nginx never lets go.
    const alone = confOf({ groups: { blue: { servers: [server('a')] } } });
    assert.doesNotMatch(upstreamIn(alone, 'blue.writes'), /backup/);
  });
});
