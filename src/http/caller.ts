/** The caller of a request, and its room: resolved once, by a hook of the route. */

import type { FastifyRequest } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Identity, RoomId } from '../model.ts';
import { roomOf } from './schemas.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by `findCaller`; a route without that hook has none. */
    caller: { readonly room: RoomId; readonly identity: Identity };
  }
}

/** As `onRequest` it comes before the body is read, as `preHandler` after the shape of the request was checked. */
export const findCaller =
  (authenticator: Authenticator) =>
  async (request: FastifyRequest): Promise<void> => {
    const room = roomOf(request);
    request.caller = { room, identity: await authenticator.identify(request, room) };
  };
