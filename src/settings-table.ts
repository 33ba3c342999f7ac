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
    meaning: 'Address of the admin port. Keep it out of reach of the public.',
  },
  {
    name: 'ADMIN_HOSTS',
    kind: 'list',
    default: [],
    meaning:
      'Host names by which the admin port may be called, such as blue-1, besides its own address and localhost. Others are refused, so that no page can reach it by a name of its own.',
  },
  {
    name: 'ADMIN_TOKEN',
    kind: 'text',
    default: null,
    isSecret: true,
    pattern: '^[!-~]{16,}$',
    patternMeaning: '16 or more printable ASCII characters without spaces',
    meaning:
      'Token that orders on the admin port (move, drain, undrain) must show as `Authorization: Bearer`; `ringside groups` sends it. Absent: orders need none.',
  },
  {
    name: 'TRUSTED_PROXIES',
    kind: 'list',
    default: [],
    meaning:
      'Addresses or CIDR ranges of the proxies whose X-Forwarded-For and X-Forwarded-Proto count; `unix` for whoever reaches LISTEN_SOCKET. Empty: none.',
  },
  {
    name: 'CORS_ORIGINS',
    kind: 'list',
    default: [],
    meaning:
      'Origins of pages that may call the gateway from elsewhere, such as https://example.org or capacitor://localhost. A cookie counts only from these and from the gateway itself.',
  },
  {
    name: 'BASE_PATH',
    kind: 'text',
    default: '',
    pattern: '^(?:/(?!\\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*/?$',
    patternMeaning: 'a path such as /live',
    meaning:
      'Path that the public sees before every path of the gateway: for the cookie, the demo and links. Requests are served with it and without it, as proxies may take it off.',
  },
  // Who it is.
  {
    name: 'NODE_ID',
    kind: 'text',
    default: null,
    pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$',
    patternMeaning: '1 to 32 of A-Z a-z 0-9 . _ -, the first a letter or digit',
    meaning: 'Name of this gateway, different for each. Absent: the host name and a random part.',
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
    meaning: 'Least level of the lines that are printed.',
  },
  {
    name: 'DEMO',
    kind: 'choice',
    default: 'auto',
    choices: ['auto', 'on', 'off'],
    meaning:
      'Serve the demo room under /demo/. auto: only where no token key is set, so only on loopback. Links with tokens are printed only there; elsewhere whoever opens it brings a token.',
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
    meaning: 'Address of a JSON Web Key Set. An unknown key id makes it fetch again, at most every 30 s.',
  },
  {
    name: 'TOKEN_ALGORITHMS',
    kind: 'list',
    default: [],
    meaning:
      'Signature algorithms that count, of HS256, RS256, ES256, EdDSA. Empty: what the key is for (for a key set: RS256, ES256, EdDSA).',
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
    meaning: 'How far clocks may differ when `exp` and `nbf` are judged.',
  },
  {
    name: 'ANONYMOUS_VIEWERS',
    kind: 'switch',
    default: false,
    meaning: 'Whether rooms may be watched without a token. Nothing can be written without one.',
  },
  {
    name: 'COOKIE_SAME_SITE',
    kind: 'choice',
    default: 'lax',
    choices: ['lax', 'none'],
    meaning:
      'Pages of which sites the cookie is sent for. lax: the own. none: any, for CORS_ORIGINS of another site; then it is `Secure` always, so only https works.',
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
      'Redis 7 or later: one server, some nodes of a cluster, or some sentinels and the name of their primary, each with user:password@ where needed. Absent: the embedded log, for one process.',
  },
  {
    name: 'REDIS_PREFIX',
    kind: 'text',
    default: 'rs',
    pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$',
    patternMeaning: '1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit',
    meaning:
      'Begins the name of every key and channel, so that several platforms can share one Redis. A database other than 0 is added to it: `rs/3`.',
  },
  {
    name: 'LOG_DEADLINE_MS',
    kind: 'integer',
    default: 2000,
    min: 50,
    max: 60000,
    unit: 'milliseconds',
    meaning: 'How long a call to the log may take.',
    atBound: 'The write is answered 503; streams stay open.',
  },
  {
    name: 'LOG_ENTRIES_MAX',
    kind: 'integer',
    default: 10000,
    min: 1,
    max: 1000000,
    unit: 'entries',
    meaning: 'Entries that a room keeps for those who come back.',
    atBound: 'The oldest is trimmed; an id before it gets a `gap` with cause `trimmed`.',
  },
  {
    name: 'LOG_BYTES_MAX',
    kind: 'integer',
    default: 16777216,
    min: 65536,
    max: 1073741824,
    unit: 'bytes',
    meaning: 'Bytes of entries that a room keeps, each counted with 128 more for its place.',
    atBound: 'The oldest is trimmed, as above.',
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
    meaning: 'How long a room that nobody writes or watches keeps its state and numbering.',
    atBound: 'The room is forgotten but for its bans, mutes and end; its ids get `reset`.',
  },
  {
    name: 'RULES_TTL_S',
    kind: 'integer',
    default: 31_536_000,
    min: 0,
    max: 315_360_000,
    unit: 'seconds',
    meaning:
      'How long bans and mutes that are for good, and the end of a room, outlive the room, counted from when ROOM_TTL_S is over. A rule with an end is kept until then in any case.',
    atBound: 'They are forgotten: whoever was banned may come back, and a room that ended may begin anew.',
  },
  {
    name: 'RULES_MAX',
    kind: 'integer',
    default: 10_000,
    min: 1,
    max: 100_000,
    unit: 'rules',
    meaning: 'Bans and mutes that a room may have in force.',
    atBound: 'Another is refused with `rules-full`; lift some first.',
  },
  {
    name: 'STATE_PARTS_MAX',
    kind: 'integer',
    default: 64,
    min: 1,
    max: 1024,
    unit: 'parts',
    meaning: 'State parts that a room may have.',
    atBound: 'A new part is refused with `state-full`.',
  },
  {
    name: 'STATE_INLINE_BYTES',
    kind: 'integer',
    default: 4096,
    min: 0,
    max: 16384,
    unit: 'bytes',
    meaning: 'Size up to which a state value travels in events.',
    atBound: 'Only its version does; readers fetch it.',
  },
  {
    name: 'COUNT_MS',
    kind: 'integer',
    default: 1000,
    min: 10,
    max: 60000,
    unit: 'milliseconds',
    meaning: 'How often a counter (likes) becomes state while it moves.',
  },
  {
    name: 'CHAT_PER_SECOND',
    kind: 'integer',
    default: 100,
    min: 0,
    max: 100000,
    unit: 'events/s',
    meaning: 'How much chat of a room is for everyone. 0: all of it.',
    atBound:
      'More is kept and answered all the same, but only its author and staff get it; a `gap` with cause `sampled` declares it to the others.',
  },
  {
    name: 'RATE_SCALE',
    kind: 'integer',
    default: 100,
    min: 1,
    max: 1000000,
    unit: 'percent',
    meaning: 'Scales the rate of every action: 200 doubles it.',
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
    meaning: 'How long entries are gathered while traffic lasts. The first after a quiet time goes out at once.',
  },
  {
    name: 'TAPE_BYTES_MAX',
    kind: 'integer',
    default: 1048576,
    min: 1024,
    max: 268435456,
    unit: 'bytes',
    meaning: 'Bytes of recent spans that a node keeps per room and audience.',
    atBound: 'The oldest span goes; a viewer that still needed it gets a `gap` with cause `slow`.',
  },
  {
    name: 'ROOMS_MAX',
    kind: 'integer',
    default: 10000,
    min: 1,
    max: 1000000,
    unit: 'rooms',
    meaning: 'Rooms that a node follows at a time.',
    atBound: 'A viewer of one more is told to come back later.',
  },
  {
    name: 'UNCLAIMED_ROOMS_MAX',
    kind: 'integer',
    default: 100,
    min: 1,
    max: 1000000,
    unit: 'rooms',
    meaning:
      'Rooms that one user, or one address without a token, may have a node follow though no token names them and nothing was written there. All of these together take half of ROOMS_MAX at most.',
    atBound: 'A viewer of one more is told to come back later.',
  },
  {
    name: 'VIEWERS_MAX',
    kind: 'integer',
    default: 50000,
    min: 1,
    max: 1000000,
    unit: 'viewers',
    meaning: 'Streams that a node holds at a time.',
    atBound: 'One more is told to come back later.',
  },
  {
    name: 'JOINS_PER_SECOND',
    kind: 'integer',
    default: 3000,
    min: 1,
    max: 1000000,
    unit: 'streams per second',
    meaning: 'How fast streams may be opened on a node; after a quiet second as many may come at once.',
    atBound:
      'One more is told to come back later, each at a time of its own. Clients without a token get what users leave, and one address of them a quarter.',
  },
  {
    name: 'USER_STREAMS_MAX',
    kind: 'integer',
    default: 100,
    min: 1,
    max: 1000000,
    unit: 'streams',
    meaning: 'Streams that one user may have on a node, over all rooms, and open within 10 seconds. Role service: any.',
    atBound: 'One more is told to come back later.',
  },
  {
    name: 'ADDRESS_STREAMS_MAX',
    kind: 'integer',
    default: 10000,
    min: 1,
    max: 1000000,
    unit: 'streams',
    meaning:
      'Streams without a token that one address (of IPv6: one /64) may have on a node. A stadium may be one address.',
    atBound: 'One more is told to come back later.',
  },
  {
    name: 'AUDIENCE_CLASSES_MAX',
    kind: 'integer',
    default: 64,
    min: 2,
    max: 4096,
    unit: 'audiences',
    meaning: 'Different combinations of staff and tags among the viewers of a room on a node.',
    atBound: 'A viewer with one more is told to come back later.',
  },
  {
    name: 'LINGER_MS',
    kind: 'integer',
    default: 30000,
    min: 0,
    max: 3600000,
    unit: 'milliseconds',
    meaning: 'How long a node follows a room after its last viewer left.',
  },
  {
    name: 'VIEWER_COUNT_MS',
    kind: 'integer',
    default: 2000,
    min: 50,
    max: 10000,
    unit: 'milliseconds',
    meaning: 'How often `audience` tells a room how many watch, and a node reports its number for it, at most.',
    atBound: 'What changes meanwhile is told together.',
  },
  {
    name: 'RENEW_MS',
    kind: 'integer',
    default: 5000,
    min: 50,
    max: 10000,
    unit: 'milliseconds',
    meaning: 'How often a node renews its lease and compares its place with the log, per room.',
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
      'Silence after which a stream gets a comment line, at the next full second. nginx.conf ends a stream that is silent for 6 s, which must be at least three of these.',
  },
  {
    name: 'RETRY_MS',
    kind: 'integer',
    default: 1500,
    min: 100,
    max: 600000,
    unit: 'milliseconds',
    meaning: 'The `retry:` of a stream, randomised by half of it either way.',
  },
  {
    name: 'VIEWER_BYTES_MAX',
    kind: 'integer',
    default: 262144,
    min: 4096,
    max: 67108864,
    unit: 'bytes',
    meaning: 'Bytes that may be on their way to one viewer: in this process and, for TCP on Linux, in the kernel.',
    atBound: 'It gets nothing more until half of them have gone.',
  },
  {
    name: 'VIEWER_STUCK_MS',
    kind: 'integer',
    default: 30000,
    min: 50,
    max: 3600000,
    unit: 'milliseconds',
    meaning: 'How long a viewer may read nothing while bytes wait for it.',
    atBound: 'Its stream is ended with `stuck`.',
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
    meaning: 'Pull requests that may wait at a time.',
    atBound: 'One more is answered at once, without events.',
  },
  {
    name: 'USER_PULLS_MAX',
    kind: 'integer',
    default: 20,
    min: 1,
    max: 1000000,
    unit: 'requests',
    meaning: 'Pull requests of one user that may be under way at a time. Role service: any.',
    atBound: 'One more is refused with `rate-limited`.',
  },
  {
    name: 'ADDRESS_PULLS_MAX',
    kind: 'integer',
    default: 1000,
    min: 1,
    max: 1000000,
    unit: 'requests',
    meaning: 'Pull requests without a token from one address (of IPv6: one /64) that may be under way at a time.',
    atBound: 'One more is refused with `rate-limited`.',
  },
  {
    name: 'DRAIN_MS',
    kind: 'integer',
    default: 10000,
    min: 0,
    max: 600000,
    unit: 'milliseconds',
    meaning: 'How long a shutdown may take to hand its viewers over.',
    atBound: 'What is left is cut.',
  },
] as const satisfies readonly SettingRow[];
