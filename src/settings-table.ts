/**
 * Every setting and every limit, in one table. The types and the parsing (`settings.ts`), `docs/settings.md` and
 * `.env.example` are made from it, and a test compares them.
 */

interface Row {
  readonly name: string;
  readonly meaning: string;
}
interface IntegerRow extends Row {
  readonly kind: 'integer';
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  /** What happens when the bound that this setting names is reached. */
  readonly atBound?: string;
}
interface TextRow extends Row {
  readonly kind: 'text';
  readonly default: string | null;
  readonly pattern?: string;
  readonly patternMeaning?: string;
  /** May also be given as the path of a file, by the name with `_FILE` at its end; never printed. */
  readonly isSecret?: true;
}
interface SwitchRow extends Row {
  readonly kind: 'switch';
  readonly default: boolean;
}
interface ChoiceRow extends Row {
  readonly kind: 'choice';
  readonly default: string;
  readonly choices: readonly string[];
}
interface ListRow extends Row {
  readonly kind: 'list';
  readonly default: readonly string[];
}
export type SettingRow = IntegerRow | TextRow | SwitchRow | ChoiceRow | ListRow;

export const settingsTable = [
  // Where it listens.
  {
    name: 'PORT',
    kind: 'integer',
    default: 8080,
    min: 0,
    max: 65535,
    unit: 'port',
    meaning: 'Public port; 0 takes a free one.',
  },
  { name: 'HOST', kind: 'text', default: '127.0.0.1', meaning: 'Address of the public port.' },
  {
    name: 'LISTEN_SOCKET',
    kind: 'text',
    default: null,
    meaning: 'Path of a unix socket to listen on instead of HOST and PORT.',
  },
  {
    name: 'ADMIN_PORT',
    kind: 'integer',
    default: 9080,
    min: 0,
    max: 65535,
    unit: 'port',
    meaning: 'Port of /livez, /readyz, /metrics and /ops; 0 takes a free one.',
  },
  {
    name: 'ADMIN_HOST',
    kind: 'text',
    default: '127.0.0.1',
    meaning: 'Address of the admin port. The public must not reach it.',
  },
  {
    name: 'ADMIN_HOSTS',
    kind: 'list',
    default: [],
    meaning:
      'Host names that the admin port answers to, such as blue-1, besides its own address and localhost. It refuses all others, which stops DNS rebinding.',
  },
  {
    name: 'ADMIN_TOKEN',
    kind: 'text',
    default: null,
    isSecret: true,
    pattern: '^[!-~]{16,}$',
    patternMeaning: '16 or more printable ASCII characters without spaces',
    meaning:
      'Token that move, drain and undrain on the admin port require as `Authorization: Bearer`; `ringside groups` sends it. Absent: no token is required.',
  },
  {
    name: 'TRUSTED_PROXIES',
    kind: 'list',
    default: [],
    meaning:
      'Addresses or CIDR ranges of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted; `unix` trusts every client of LISTEN_SOCKET. Empty: none.',
  },
  {
    name: 'CORS_ORIGINS',
    kind: 'list',
    default: [],
    meaning:
      'Other origins whose pages may call the gateway, such as https://example.org or capacitor://localhost. The cookie is accepted only from these and from the gateway itself.',
  },
  {
    name: 'BASE_PATH',
    kind: 'text',
    default: '',
    pattern: '^(?:/(?!\\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*/?$',
    patternMeaning: 'a path such as /live',
    meaning:
      'Public path prefix of the gateway, used in the cookie, the demo and links. Requests are served with and without it, because proxies may strip it.',
  },
  // Who it is.
  {
    name: 'NODE_ID',
    kind: 'text',
    default: null,
    pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$',
    patternMeaning: '1 to 32 of A-Z a-z 0-9 . _ -, the first a letter or digit',
    meaning: 'Unique name of this gateway. Absent: the host name and a random suffix.',
  },
  {
    name: 'GROUP',
    kind: 'text',
    default: 'default',
    pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$',
    patternMeaning: '1 to 32 of A-Z a-z 0-9 . _ -, the first a letter or digit',
    meaning: 'Server group that this gateway belongs to.',
  },
  {
    name: 'LOG_LEVEL',
    kind: 'choice',
    default: 'info',
    choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    meaning: 'Lowest level that is logged.',
  },
  {
    name: 'DEMO',
    kind: 'choice',
    default: 'auto',
    choices: ['auto', 'on', 'off'],
    meaning:
      'Serve the demo room under /demo/. auto: only without a token key, so only on loopback. Only then does the gateway print links with tokens; otherwise the visitor supplies a token.',
  },
  // Tokens.
  { name: 'TOKEN_SECRET', kind: 'text', default: null, isSecret: true, meaning: 'HS256 secret of at least 32 bytes.' },
  {
    name: 'TOKEN_PUBLIC_KEY',
    kind: 'text',
    default: null,
    isSecret: true,
    meaning: 'Public key in PEM: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.',
  },
  {
    name: 'TOKEN_JWKS_URL',
    kind: 'text',
    default: null,
    isSecret: true,
    pattern: '^https?://',
    patternMeaning: 'an http or https address',
    meaning: 'Address of a JSON Web Key Set. An unknown key id causes a new fetch, at most every 30 s.',
  },
  {
    name: 'TOKEN_ALGORITHMS',
    kind: 'list',
    default: [],
    meaning:
      'Accepted signature algorithms, of HS256, RS256, ES256, EdDSA. Empty: the algorithm of the key (for a key set: RS256, ES256, EdDSA).',
  },
  { name: 'TOKEN_ISSUER', kind: 'text', default: null, meaning: 'Required `iss` of a token. Absent: not checked.' },
  { name: 'TOKEN_AUDIENCE', kind: 'text', default: null, meaning: 'Required `aud` of a token. Absent: not checked.' },
  {
    name: 'TOKEN_LEEWAY_S',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 300,
    unit: 'seconds',
    meaning: 'Clock difference that is tolerated when `exp` and `nbf` are checked.',
  },
  {
    name: 'ANONYMOUS_VIEWERS',
    kind: 'switch',
    default: false,
    meaning: 'Whether viewers may watch rooms without a token. Every write requires one.',
  },
  {
    name: 'COOKIE_SAME_SITE',
    kind: 'choice',
    default: 'lax',
    choices: ['lax', 'none'],
    meaning:
      '`SameSite` of the cookie. lax: sent by pages of the same site. none: sent by pages of any site, for CORS_ORIGINS of another site; the cookie is then always `Secure` and needs https.',
  },
  // The log.
  {
    name: 'REDIS_URL',
    kind: 'text',
    default: null,
    isSecret: true,
    pattern: '^(rediss?(\\+cluster|\\+sentinel)?://|unix:)',
    patternMeaning:
      'redis://host:port, rediss:// for TLS, unix:/path, redis+cluster://host:port,host:port or redis+sentinel://host:port,host:port/primary',
    meaning:
      'Redis 7 or later: one server, some nodes of a cluster, or some sentinels and the name of their primary, with user:password@ if required. Absent: the embedded log, for one process.',
  },
  {
    name: 'REDIS_PREFIX',
    kind: 'text',
    default: 'rs',
    pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$',
    patternMeaning: '1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit',
    meaning:
      'Prefix of every key and channel, so that several platforms can share one Redis. A database other than 0 is appended: `rs/3`.',
  },
  {
    name: 'LOG_DEADLINE_MS',
    kind: 'integer',
    default: 2000,
    min: 50,
    max: 60000,
    unit: 'milliseconds',
    meaning: 'Deadline of a call to the room log.',
    atBound: 'The write gets 503; streams stay open.',
  },
  {
    name: 'LOG_ENTRIES_MAX',
    kind: 'integer',
    default: 10000,
    min: 1,
    max: 1000000,
    unit: 'entries',
    meaning: 'Entries that a room keeps for viewers that resume.',
    atBound: 'The oldest entry is trimmed; an id before it gets a `gap` with cause `trimmed`.',
  },
  {
    name: 'LOG_BYTES_MAX',
    kind: 'integer',
    default: 16777216,
    min: 65536,
    max: 1073741824,
    unit: 'bytes',
    meaning: 'Bytes of entries that a room keeps; each entry counts 128 more for overhead.',
    atBound: 'The oldest entry is trimmed, as above.',
  },
  {
    name: 'LOG_TTL_S',
    kind: 'integer',
    default: 3600,
    min: 1,
    max: 604800,
    unit: 'seconds',
    meaning: 'Age at which an entry is trimmed.',
    atBound: 'As above.',
  },
  {
    name: 'ROOM_TTL_S',
    kind: 'integer',
    default: 604800,
    min: 60,
    max: 31536000,
    unit: 'seconds',
    meaning: 'How long a room without writes and viewers keeps its state and numbering.',
    atBound: 'The room is deleted except for its bans, mutes and end; its ids get `reset`.',
  },
  {
    name: 'RULES_TTL_S',
    kind: 'integer',
    default: 31_536_000,
    min: 0,
    max: 315_360_000,
    unit: 'seconds',
    meaning:
      'How long permanent bans and mutes, and the end of a room, are kept after ROOM_TTL_S has passed. A temporary rule is always kept until it expires.',
    atBound: 'They are deleted: banned users may return, and an ended room may begin again.',
  },
  {
    name: 'RULES_MAX',
    kind: 'integer',
    default: 10_000,
    min: 1,
    max: 100_000,
    unit: 'rules',
    meaning: 'Bans and mutes in force in a room.',
    atBound: 'Another is refused with `rules-full` until one is lifted.',
  },
  {
    name: 'STATE_PARTS_MAX',
    kind: 'integer',
    default: 64,
    min: 1,
    max: 1024,
    unit: 'parts',
    meaning: 'State parts of a room.',
    atBound: 'A new part is refused with `state-full`.',
  },
  {
    name: 'STATE_INLINE_BYTES',
    kind: 'integer',
    default: 4096,
    min: 0,
    max: 16384,
    unit: 'bytes',
    meaning: 'Largest state value that `state` events carry.',
    atBound: 'The event carries only the version; readers fetch the value.',
  },
  {
    name: 'COUNT_MS',
    kind: 'integer',
    default: 1000,
    min: 10,
    max: 60000,
    unit: 'milliseconds',
    meaning: 'How often a changing counter (likes) is written to the state.',
  },
  {
    name: 'CHAT_PER_SECOND',
    kind: 'integer',
    default: 100,
    min: 0,
    max: 100000,
    unit: 'events/s',
    meaning: 'Chat events of a room that reach every viewer. 0: all of them.',
    atBound:
      'Further chat is accepted and logged, but reaches only its author and staff; a `gap` with cause `sampled` declares it to the others.',
  },
  {
    name: 'RATE_SCALE',
    kind: 'integer',
    default: 100,
    min: 1,
    max: 1000000,
    unit: 'percent',
    meaning: 'Scales the rate limit of every action: 200 doubles it.',
    atBound: 'Faster writes are refused with `rate-limited`.',
  },
  // The hub.
  {
    name: 'FLUSH_MS',
    kind: 'integer',
    default: 20,
    min: 0,
    max: 1000,
    unit: 'milliseconds',
    meaning: 'How long entries are batched under traffic. The first entry after a quiet time is sent at once.',
  },
  {
    name: 'TAPE_BYTES_MAX',
    kind: 'integer',
    default: 1048576,
    min: 1024,
    max: 268435456,
    unit: 'bytes',
    meaning: 'Bytes of recent spans that a node keeps per room and audience.',
    atBound: 'The oldest span is dropped; a viewer that still needs it gets a `gap` with cause `slow`.',
  },
  {
    name: 'ROOMS_MAX',
    kind: 'integer',
    default: 10000,
    min: 1,
    max: 1000000,
    unit: 'rooms',
    meaning: 'Rooms that a node follows at once.',
    atBound: 'Viewers of further rooms are asked to retry later.',
  },
  {
    name: 'UNCLAIMED_ROOMS_MAX',
    kind: 'integer',
    default: 100,
    min: 1,
    max: 1000000,
    unit: 'rooms',
    meaning:
      'Rooms per user, or per address without a token, that a node follows although no token names them and nothing was written there. Together they take at most half of ROOMS_MAX.',
    atBound: 'Viewers of further rooms are asked to retry later.',
  },
  {
    name: 'VIEWERS_MAX',
    kind: 'integer',
    default: 50000,
    min: 1,
    max: 1000000,
    unit: 'viewers',
    meaning: 'Concurrent streams of a node.',
    atBound: 'Further viewers are asked to retry later.',
  },
  {
    name: 'JOINS_PER_SECOND',
    kind: 'integer',
    default: 3000,
    min: 1,
    max: 1000000,
    unit: 'streams per second',
    meaning: 'Rate limit of new streams on a node, with a burst of one second.',
    atBound:
      'Further viewers are asked to retry later, each at its own time. Clients without a token get what users leave, and one address a quarter of that.',
  },
  {
    name: 'USER_STREAMS_MAX',
    kind: 'integer',
    default: 100,
    min: 1,
    max: 1000000,
    unit: 'streams',
    meaning:
      'Streams of one user on a node, over all rooms, and streams that one user may open within 10 seconds. Role service: unlimited.',
    atBound: 'Further viewers are asked to retry later.',
  },
  {
    name: 'ADDRESS_STREAMS_MAX',
    kind: 'integer',
    default: 10000,
    min: 1,
    max: 1000000,
    unit: 'streams',
    meaning: 'Streams without a token from one address (IPv6: one /64) on a node. A stadium may be one address.',
    atBound: 'Further viewers are asked to retry later.',
  },
  {
    name: 'AUDIENCE_CLASSES_MAX',
    kind: 'integer',
    default: 64,
    min: 2,
    max: 4096,
    unit: 'audiences',
    meaning: 'Distinct combinations of staff and tags among the viewers of a room on a node.',
    atBound: 'Viewers with a further combination are asked to retry later.',
  },
  {
    name: 'LINGER_MS',
    kind: 'integer',
    default: 30000,
    min: 0,
    max: 3600000,
    unit: 'milliseconds',
    meaning: 'How long a node keeps following a room after its last viewer left.',
  },
  {
    name: 'VIEWER_COUNT_MS',
    kind: 'integer',
    default: 2000,
    min: 50,
    max: 10000,
    unit: 'milliseconds',
    meaning: 'Shortest interval between two `audience` events of a room, and between two changes that a node reports.',
    atBound: 'Changes in between are published together.',
  },
  {
    name: 'RENEW_MS',
    kind: 'integer',
    default: 5000,
    min: 50,
    max: 10000,
    unit: 'milliseconds',
    meaning: 'How often a node renews its lease and compares its position with the log, per room.',
  },
  // The streams.
  {
    name: 'HEARTBEAT_MS',
    kind: 'integer',
    default: 2000,
    min: 50,
    max: 300000,
    unit: 'milliseconds',
    meaning:
      'Silence after which a stream gets a comment line, at the next full second. nginx.conf closes a stream that is silent for 6 s; keep this at a third of that or less.',
  },
  {
    name: 'RETRY_MS',
    kind: 'integer',
    default: 1500,
    min: 100,
    max: 600000,
    unit: 'milliseconds',
    meaning: 'The `retry:` of a stream, randomised by up to half either way.',
  },
  {
    name: 'VIEWER_BYTES_MAX',
    kind: 'integer',
    default: 262144,
    min: 4096,
    max: 67108864,
    unit: 'bytes',
    meaning: 'Bytes in flight to one viewer: in this process and, for TCP on Linux, in the kernel.',
    atBound: 'The stream is paused until half of them have drained.',
  },
  {
    name: 'VIEWER_STUCK_MS',
    kind: 'integer',
    default: 30000,
    min: 50,
    max: 3600000,
    unit: 'milliseconds',
    meaning: 'How long a viewer may read nothing while bytes are queued for it.',
    atBound: 'The stream ends with `stuck`.',
  },
  {
    name: 'REPLAY_ENTRIES_MAX',
    kind: 'integer',
    default: 10000,
    min: 1,
    max: 1000000,
    unit: 'entries',
    meaning: 'Entries that one resume may replay.',
    atBound: 'The older ones are declared in a `gap` with cause `trimmed`.',
  },
  {
    name: 'PULLS_MAX',
    kind: 'integer',
    default: 10000,
    min: 1,
    max: 1000000,
    unit: 'requests',
    meaning: 'Pull requests that may wait at once.',
    atBound: 'Further requests are answered at once, without events.',
  },
  {
    name: 'USER_PULLS_MAX',
    kind: 'integer',
    default: 20,
    min: 1,
    max: 1000000,
    unit: 'requests',
    meaning: 'Concurrent pull requests of one user. Role service: unlimited.',
    atBound: 'Further requests are refused with `rate-limited`.',
  },
  {
    name: 'ADDRESS_PULLS_MAX',
    kind: 'integer',
    default: 1000,
    min: 1,
    max: 1000000,
    unit: 'requests',
    meaning: 'Concurrent pull requests without a token from one address (IPv6: one /64).',
    atBound: 'Further requests are refused with `rate-limited`.',
  },
  {
    name: 'DRAIN_MS',
    kind: 'integer',
    default: 10000,
    min: 0,
    max: 600000,
    unit: 'milliseconds',
    meaning: 'How long a shutdown may take to hand over its viewers.',
    atBound: 'Remaining streams are cut.',
  },
] as const satisfies readonly SettingRow[];
