/**
 * The shapes of requests and answers, for the routes and for the OpenAPI document alike. Params and queries are checked
 * by `checkShape`; headers and bodies are documented here and checked by the routes, which can say more about them.
 */

// Teaches Fastify's types the words of OpenAPI, such as `summary`.
import type {} from '@fastify/swagger';
import type { FastifyRequest, FastifySchemaCompiler } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Refusal, refusals } from '../errors.ts';
import { epochPattern, idPattern, offsetPattern } from '../log/position.ts';
import { isRoomId, namePattern, type RoomId, roles, roomPattern } from '../model.ts';

const room = Type.Unsafe<RoomId>(Type.String({ pattern: roomPattern, description: 'Room id.', examples: ['match-7'] }));
const plainName = (description: string) => Type.String({ pattern: namePattern, description });

export const roomParams = Type.Object({ room });
export const actionParams = Type.Object({ room, kind: plainName('Kind of the action, such as `comment`.') });
export const partParams = Type.Object({ room, part: plainName('Name of the state part.') });

const id = Type.String({ pattern: idPattern, description: 'Event id, `<epoch>.<offset>`.', examples: ['k3x9qa.1042'] });
const epoch = Type.String({ description: 'The current epoch of the log of the room.' });
const version = Type.Integer({ minimum: 0, description: 'Offset of the last change.' });
const atMs = Type.Integer({ description: 'Unix milliseconds by the clock of the log.' });
const accessToken = Type.Optional(Type.String({ description: 'A token, if the client cannot set a header.' }));

export const stateQuery = Type.Object({
  since: Type.Optional(
    Type.String({
      pattern: `^(${epochPattern}\\.)?${offsetPattern}$`,
      description: 'A total version or an event id: the answer holds only changes after it.',
    }),
  ),
  access_token: accessToken,
});

export const idempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        '1 to 128 printable ASCII characters, bare or as a quoted string. A repeat within 10 minutes is safe.',
    }),
  ),
});
export const putStateHeaders = Type.Object({
  ...idempotencyHeaders.properties,
  'if-match': Type.Optional(Type.String({ description: '`"<version>"`, or `*` for any version; otherwise 412.' })),
  'if-none-match': Type.Optional(Type.String({ description: '`*`: only if the part does not exist; otherwise 412.' })),
});
export const conditionalHeaders = Type.Object({
  'if-none-match': Type.Optional(Type.String({ description: 'Entity tags, RFC 9110 section 13.1.' })),
});

export const acceptedAnswer = Type.Object(
  { id, at: atMs },
  { additionalProperties: true, description: 'The entry is in the log of the room. Some actions add fields.' },
);
export const changedAnswer = Type.Object({ id, at: atMs, version }, { description: 'The change is in the log.' });
/** The answer to a conditional read if the client has the current version: headers alone. */
export const notModified = { description: 'Nothing has changed since that version.', type: 'null' } as const;
const partValue = Type.Object({ version, value: Type.Unknown({ description: 'Any JSON value.' }) });
export const stateAnswer = Type.Object(
  {
    epoch,
    total: Type.Integer({ minimum: 0, description: 'Version of the newest change; 0 if there was none.' }),
    since: Type.Union([Type.Integer(), Type.Null()], {
      description: 'The version that the answer builds on. Null: the answer is whole and replaces everything.',
    }),
    parts: Type.Record(Type.String(), partValue, { description: 'By name.' }),
    removed: Type.Array(Type.String(), { description: 'Parts removed after `since`.' }),
  },
  { description: 'The state of the room.' },
);
export const partAnswer = Type.Object(
  {
    epoch,
    part: Type.String(),
    version,
    value: Type.Unknown({ description: 'Any JSON value.' }),
  },
  { description: 'One part of the state.' },
);

const problemAnswer = Type.Object(
  {
    type: Type.String({ description: '`urn:ringside:problem:` and the code.' }),
    title: Type.String({ description: 'The same for every problem of this code.' }),
    status: Type.Integer({ description: 'The status of the response.' }),
    detail: Type.String({ description: 'What is wrong, for people.' }),
    code: Type.String({ enum: Object.keys(refusals), description: 'Never changes its meaning.' }),
    instance: Type.Optional(Type.String({ description: 'With `internal`: names the request in the log.' })),
    version: Type.Optional(
      Type.Integer({ minimum: 0, description: 'With `version-conflict`: the current version; 0 for none.' }),
    ),
    errors: Type.Optional(
      Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }), {
        description: 'With `malformed`: what is wrong, and where (a JSON pointer as a URI fragment, RFC 6901).',
      }),
    ),
  },
  { description: 'Problem details, RFC 9457.' },
);

/** What every route may answer besides its own. */
export const problems = {
  '4xx': {
    description: 'Refused; `code` says why. 429 comes with `Retry-After`.',
    content: { 'application/problem+json': { schema: problemAnswer } },
  },
  '5xx': {
    description: 'Unavailable (503, with `Retry-After`), or an internal error (500).',
    content: { 'application/problem+json': { schema: problemAnswer } },
  },
} as const;

/** How a token may be sent with a GET; the other routes take the document's default, without the query. */
export const readSecurity = [{ token: [] }, { cookie: [] }, { query: [] }];

/** The validator compiler of our routes. It changes nothing: no defaults, no coercion, no field removed. */
export const checkShape: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  if (httpPart !== 'params' && httpPart !== 'querystring') return () => true;
  const shape = Compile(schema);
  return (value: unknown) => {
    if (shape.Check(value)) return { value };
    const doubled = httpPart === 'querystring' ? doubledIn(value) : [];
    return { error: (doubled.length > 0 ? doubled : shape.Errors(value)) as unknown as Error };
  };
};

/** A repeated parameter is parsed as a list, and is ambiguous. */
const doubledIn = (query: unknown): readonly { instancePath: string; message: string }[] =>
  Object.entries(query as object).flatMap(([name, value]) =>
    Array.isArray(value) ? { instancePath: `/${name}`, message: 'is given more than once' } : [],
  );

/**
 * The room that a request's path names, for hooks that run before the params are checked.
 * @throws {Refusal} `malformed`
 */
export function roomOf(request: FastifyRequest): RoomId {
  const named = (request.params as Record<string, unknown>)['room'];
  if (isRoomId(named)) return named;
  throw new Refusal('malformed', 'A room id must have 1 to 64 of A-Z a-z 0-9 . _ ~ -, the first a letter or digit.');
}

/** The latest events that a first visit may ask for. */
export const historyMax = 200;
/** Entries examined for one pull: by default, and at most. */
export const pullLimit = 100;
export const pullLimitMax = 500;
/** Seconds that a pull may wait. */
export const waitMaxS = 30;

const wholeNumber = (max: number, description: string) =>
  Type.Optional(Type.String({ pattern: '^[0-9]{1,4}$', description: `${description} 0 to ${max}.` }));

export const streamQuery = Type.Object({
  lastEventId: Type.Optional(Type.String({ description: 'Where to resume; the Last-Event-ID header wins.' })),
  history: wholeNumber(historyMax, 'Latest events for a first visit.'),
  access_token: accessToken,
});
export const eventsQuery = Type.Object({
  after: Type.Optional(Type.String({ description: 'The cursor: the `next` of the last answer, or an event id.' })),
  limit: wholeNumber(pullLimitMax, 'Entries to examine.'),
  wait: wholeNumber(waitMaxS, 'Seconds to wait for the first event.'),
  access_token: accessToken,
});
const missed = Type.Union([Type.Integer(), Type.Null()], { description: 'Events that are gone; null: unknown.' });
export const eventsAnswer = Type.Object(
  {
    verdict: Type.String({
      enum: ['fresh', 'exact', 'gap', 'reset'],
      description:
        'The verdict on the cursor: none was sent; everything after it follows; some is gone; it is unknown.',
    }),
    missed,
    cause: Type.Union([Type.String({ enum: ['slow', 'sampled', 'trimmed', 'failover'] }), Type.Null()]),
    events: Type.Array(Type.Object({ id, event: Type.String(), data: Type.Unknown() })),
    next: id,
    nextPollMs: Type.Integer({ description: 'When the next request is worthwhile.' }),
    you: Type.Object(
      {
        id: Type.Union([Type.String(), Type.Null()]),
        role: Type.String({ enum: [...roles] }),
        changed: Type.Optional(Type.Boolean({ description: 'The cursor may have been given to another user.' })),
      },
      { description: 'The identity of the client.' },
    ),
  },
  { description: 'The events after the cursor that the client may see.' },
);
export const pageParams = Type.Object({
  room,
  page: Type.String({
    pattern: '^(?:0|[1-9][0-9]{0,12}|latest)$',
    description: 'Number of the page, whose offsets begin at 100 times that. `latest`: the newest page.',
  }),
});
export const pageQuery = Type.Object({
  v: Type.Optional(
    Type.String({
      pattern: idPattern,
      description: 'The expected version, which lets caches keep a full page.',
    }),
  ),
  access_token: accessToken,
});
export const pageAnswer = Type.Object(
  {
    epoch,
    version: Type.String({
      pattern: idPattern,
      description: 'The current epoch and the offset of the newest `retract` for all; 0 for none.',
    }),
    page: Type.Integer({ minimum: 0 }),
    from: Type.Integer({ minimum: 1, description: 'The first offset that the page covers.' }),
    to: Type.Integer({ minimum: 0, description: 'The last one; `from` less 1 if there is none yet.' }),
    full: Type.Boolean({ description: 'Whether all offsets of the page exist.' }),
    events: Type.Array(Type.Object({ id, event: Type.String(), data: Type.Unknown() })),
  },
  { description: 'The public events of these offsets.' },
);
export const tokenQuery = Type.Object({ access_token: accessToken });
const moment = Type.Integer({ description: 'Unix milliseconds.' });
export const rulesAnswer = Type.Object(
  {
    rules: Type.Array(
      Type.Object({
        rule: Type.String({ enum: ['ban', 'mute'] }),
        user: Type.String({ description: 'The user that the rule binds, in any role lower than `by.role`.' }),
        since: moment,
        until: Type.Union([moment, Type.Null()], { description: 'Null: permanent.' }),
        by: Type.Object({
          id: Type.String(),
          name: Type.Union([Type.String(), Type.Null()]),
          role: Type.String({ enum: [...roles] }),
        }),
        reason: Type.Union([Type.String(), Type.Null()]),
      }),
    ),
  },
  { description: 'The bans and mutes in force, the oldest first.' },
);
export const sessionAnswer = Type.Object(
  { expiresAt: Type.Integer({ description: 'When the streams end, in Unix milliseconds.' }) },
  { description: 'The cookie is set, and open streams are renewed.' },
);

/**
 * A whole number of a query, which is text.
 * @throws {Refusal} `malformed`
 */
export function readWhole(name: string, text: string | undefined, { absent, max }: { absent: number; max: number }) {
  const value = text === undefined ? absent : Number(text);
  if (value <= max) return value;
  throw new Refusal('malformed', `The parameter ${name} must not exceed ${max}.`);
}
