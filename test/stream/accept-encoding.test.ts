import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Author } from '../rig/author.ts';
import { type RunningGateway, startGateway } from '../rig/gateway.ts';
import { RawViewer } from '../rig/raw-viewer.ts';

/** What a client may say, and whether it gets gzip. Undefined: it says nothing. */
const cases: readonly (readonly [said: string | undefined, isGzip: boolean])[] = [
  [undefined, false],
  ['', false],
  ['identity', false],
  ['gzip;q=0', false],
  ['gzip; q=0.000', false],
  ['GZIP ; Q=0', false],
  ['gzip;q=0, *', false],
  ['*;q=0', false],
  ['*;q=0, identity', false],
  ['identity;q=1, *;q=0', false],
  ['br', false],
  ['deflate, br, zstd', false],
  ['gzip;q=nonsense', false],
  ['gzip;q=', false],
  ['gzipped', false],
  ['x-gzip;q=0', false],
  [',;,;q=1,=', false],
  [`${'a,'.repeat(2000)}b`, false],
  ['gzip', true],
  ['GZip', true],
  ['x-gzip', true],
  ['*', true],
  ['*;q=0.1', true],
  ['gzip;q=0.001', true],
  ['br;q=1, gzip;q=0.5, *;q=0', true],
  ['gzip, deflate, br, zstd', true],
  ['identity;q=0, gzip', true],
];

describe('Accept-Encoding', () => {
  let gateway: RunningGateway;
  let author: Author;
  before(async () => {
    gateway = await startGateway();
    author = new Author(gateway.port);
  });
  after(async () => {
    author.close();
    await gateway.close();
  });

  for (const [said, isGzip] of cases) {
    const shown = said === undefined ? 'that is absent' : `"${said.length > 60 ? `${said.slice(0, 20)}…` : said}"`;
    it(`${shown} gets ${isGzip ? 'gzip' : 'plain bytes'}`, async () => {
      const viewer = new RawViewer(gateway.port, said === undefined ? {} : { acceptEncoding: said });
      try {
        await viewer.seated();
        const { id } = await author.signal(2000);
        await viewer.reaches(id);
        assert.equal(viewer.isGzip, isGzip);
        // A cache or proxy must not hand one client's bytes to another.
        assert.match(viewer.head, /^vary: .*accept-encoding/im);
        const magic = viewer.body.subarray(0, 3).toString('hex');
        assert.equal(magic === '1f8b08', isGzip, `it begins with ${magic}`);
        if (!isGzip) assert.match(viewer.body.toString(), /^retry: \d+\n\n/);
        assert.deepEqual(viewer.judge(author.ledger, 'everything'), []);
      } finally {
        viewer.close();
      }
    });
  }
});
