/** The names of keys and channels as they are where REDIS_PREFIX and the database are left at their defaults. */

import { keysIn } from '../../src/log/redis/keys.ts';

export const {
  log: logKey,
  meta: metaKey,
  state: stateKey,
  where: whereKey,
  nodes: nodesKey,
  audience: audienceKey,
  rules: rulesKey,
  roomChannel,
  nodeChannel,
} = keysIn('rs');
