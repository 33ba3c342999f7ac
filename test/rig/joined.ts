/** A back end as one object, for tests that use its log and its presence alike. */

import type { Backend } from '../../src/log/backend.ts';
import type { Presence } from '../../src/log/presence.ts';
import type { RoomLog } from '../../src/log/room-log.ts';

export type NodeLog = RoomLog & Presence;

export function joined({ log, presence }: Backend): NodeLog {
  return new Proxy(log as NodeLog, {
    get(_, name) {
      const part = Reflect.has(log, name) ? log : presence;
      const found: unknown = Reflect.get(part, name, part);
      return typeof found === 'function' ? found.bind(part) : found;
    },
  });
}

/** The same object in both places. */
export const asBackend = (node: NodeLog): Backend => ({ log: node, presence: node });
