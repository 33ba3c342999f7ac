import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { type Nginx, startNginx } from '../rig/nginx.ts';
import { conf, digestOf, home, ringside, stage, startNode, type Told, toClose } from './operated-groups.ts';

describe('a groups file that is refused', () => {
  const unchanged = async (nginx: Nginx, what: () => Promise<Told>, sentence: RegExp): Promise<void> => {
    const [text, digest, names] = [await conf(nginx), await digestOf(nginx), await readdir(nginx.home)];
    const told = await what();
    assert.equal(told.code, 1);
    assert.match(told.text, sentence);
    assert.equal(await conf(nginx), text);
    assert.equal(await digestOf(nginx), digest);
    assert.deepEqual(await readdir(nginx.home), names, 'nothing is left behind');
  };

  it('is told why, all at once, and nothing is written', async () => {
    const { nginx, groups } = await stage(['blue-1'], ['blue-1']);
    await nginx.edit({ groups: groups(['blue-1']), hotRooms: { '': ['blue'], a: ['red'] } });
    for (const command of ['plan', 'render', 'check', 'apply']) {
      await unchanged(nginx, () => ringside(nginx, command, '--yes'), /not a room id[\s\S]*unknown group "red"/);
    }
  });

  it('by nginx itself is not written either', async () => {
    const { nginx } = await stage(['blue-1'], ['blue-1']);
    const servers = [{ name: 'blue-1', address: 'nobody.invalid:80' }];
    await nginx.edit({ groups: { blue: { servers } } });
    await unchanged(nginx, () => ringside(nginx, 'render'), /nginx rejects the configuration[\s\S]*nobody\.invalid/);
    await unchanged(nginx, () => ringside(nginx, 'apply', '--yes'), /nobody\.invalid/);
  });

  it('is told so as JSON where JSON is wanted', async () => {
    const { nginx } = await stage(['blue-1'], ['blue-1']);
    await writeFile(nginx.file, '{');
    assert.match(String((await ringside(nginx, 'plan', '--json')).json['refused']), /not JSON/);
  });
});

describe('ringside groups check', () => {
  let gateway: RunningGateway;
  let nginx: Nginx;
  let tokenFile: string;
  let base: Record<string, unknown>;

  beforeEach(async () => {
    gateway = await startGateway({ environment: { NODE_ID: 'blue-1', GROUP: 'blue' } });
    toClose.push(gateway.close);
    const node = await startNode('blue-1');
    const servers = [{ name: 'blue-1', address: `127.0.0.1:${gateway.port}`, admin: node.admin }];
    base = { groups: { blue: { servers } } };
    nginx = await startNginx(base);
    toClose.push(nginx.stop);
    tokenFile = join(home, 'token');
    await writeFile(tokenFile, `${tokenOf('ann')}\n`);
  });
  const checked = async (...words: string[]): Promise<Record<string, boolean | null> & { code: number }> => {
    const { code, json } = await ringside(nginx, 'check', '--room', room, '--json', ...words);
    const findings = json['findings'] as { what: string; isFine: boolean | null }[];
    return Object.assign(Object.fromEntries(findings.map(({ what, isFine }) => [what, isFine])), { code });
  };

  it('finds all well where it is, the stream among it', async () => {
    assert.deepEqual(await checked('--token-file', tokenFile), {
      rendered: true,
      nginx: true,
      running: true,
      server: true,
      stream: true,
      code: 0,
    });
    assert.equal((await checked()).stream, null, 'without a token it cannot know');
  });

  it('finds a file that was not rendered, and a rendering that does not run', async () => {
    await nginx.edit({ ...base, unlimited: ['10.0.0.1'] });
    const { rendered, running, code } = await checked();
    assert.deepEqual([rendered, running, code], [false, false, 1]);
    assert.equal((await ringside(nginx, 'render')).code, 0);
    const later = await checked();
    assert.deepEqual([later.rendered, later.running, later.code], [true, false, 1]);
    assert.equal((await ringside(nginx, 'apply', '--yes')).code, 0);
    const last = await checked();
    assert.deepEqual([last.rendered, last.running, last.code], [true, true, 0]);
  });

  it('finds a hand on what was rendered', async () => {
    await writeFile(join(nginx.folder, 'groups.conf'), (await conf(nginx)).replace('weight=1', 'weight=9'));
    assert.equal((await checked()).rendered, false);
  });

  it('finds a gateway that is not the one that the file names', async () => {
    const other = await startNode('green-7');
    await nginx.edit({
      groups: { blue: { servers: [{ name: 'blue-1', address: 'unix:/x.sock', admin: other.admin }] } },
    });
    assert.equal((await checked()).server, false);
  });

  it('finds a way that gathers what it should pass on', async () => {
    // As another proxy before nginx might: the gateway's own word against it is not heard, and chunks, which would be passed
    // on one by one, are not asked for.
    const path = join(nginx.home, 'nginx.conf');
    const text = await readFile(path, 'utf8');
    const presenceBatch = 'proxy_buffering on; proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering;';
    await writeFile(path, text.replace('proxy_buffering off;', presenceBatch));
    await nginx.edit({ ...base, unlimited: ['10.0.0.1'] });
    assert.equal((await ringside(nginx, 'apply', '--yes')).code, 0);
    const found = await checked('--token-file', tokenFile);
    assert.deepEqual([found.stream, found.code], [false, 1]);
  });

  it('finds a way that ends in "not now"', async () => {
    await gateway.close();
    assert.equal((await checked('--token-file', tokenFile)).stream, false);
  });
});
