import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGatewayProcess } from '../rig/gateway.ts';
import { secret } from '../rig/tokens.ts';

test('a gateway that starts says once where it listens', async () => {
  const gateway = await startGatewayProcess({ TOKEN_SECRET: secret, NODE_ID: 'one' });
  try {
    const [, address = ''] = await gateway.prints(/node one of group default listens on (http:\/\/[^"\s]+)/);
    assert.equal((await fetch(`${address}/rooms/match-7/state`)).status, 401);
    const said = gateway
      .stdout()
      .split('\n')
      .filter((line) => /listen/i.test(line));
    assert.equal(said.length, 1, said.join('\n'));
  } finally {
    await gateway.close();
  }
});
