/** Calls of the functions on one room: the keys and arguments that all share, and checked decoding of answers. */

import { randomUUID } from 'node:crypto';
import type { RoomId } from '../../model.ts';
import { type LinkLogger, unavailable } from '../../redis/client.ts';
import type { RedisLink } from '../../redis/link.ts';
import type { Settings } from '../../settings.ts';
import type { Tail } from '../position.ts';
import { decodeTail, LogTextError } from './entry-text.ts';
import type { FeedNeeds } from './feed.ts';
import type { RoomKeys } from './keys.ts';
import type { LibraryFunction } from './library.ts';

type Words = readonly (string | number)[];

export class RoomCalls {
  readonly settings: Settings;
  readonly keys: RoomKeys;
  readonly logger: LinkLogger;
  readonly #link: RedisLink;

  constructor({ settings, keys, logger }: Pick<FeedNeeds, 'settings' | 'keys' | 'logger'>, link: RedisLink) {
    this.settings = settings;
    this.keys = keys;
    this.logger = logger;
    this.#link = link;
  }

  /** Calls a function that opens the room; see shared.lua. `keys` and `args` follow those that all share. */
  call(name: LibraryFunction, room: RoomId, keys: readonly string[], args: Words): Promise<unknown> {
    const { logEntriesMax, logBytesMax, logTtlS, roomTtlS, rulesTtlS } = this.settings;
    // The last part of a random UUID: 48 bits. Drawing them costs less than asking whether they are needed.
    const epoch = randomUUID().slice(-12);
    return this.callPlain(
      name,
      [this.keys.log(room), this.keys.meta(room), this.keys.state(room), ...keys],
      [
        this.keys.roomChannel(room),
        epoch,
        `${logEntriesMax} ${logBytesMax}`,
        logTtlS * 1000,
        `${roomTtlS} ${rulesTtlS}`,
        ...args,
      ],
    );
  }

  async ask(name: LibraryFunction, room: RoomId, keys: readonly string[], args: Words): Promise<string[]> {
    return (await this.call(name, room, keys, args)) as string[];
  }

  /** Calls a function that does not open the room. */
  callPlain(name: LibraryFunction, keys: readonly string[], args: Words): Promise<unknown> {
    return this.#link.call(name, keys, args);
  }

  readTail(room: RoomId, text: string): Tail {
    return this.understand(room, () => decodeTail(text));
  }

  /** Foreign data in a room's keys makes this one room unavailable. It is not an internal error. */
  understand<Value>(room: RoomId, decode: () => Value): Value {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof LogTextError)) throw error;
      this.logger.error(
        { err: error, room },
        'room keys unreadable: not written by a gateway; look for another writer on this prefix',
      );
      throw unavailable();
    }
  }
}
