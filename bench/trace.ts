/**
 * What a live room says, made up from a seed: the same seed gives the same users, words and times on every machine. Few
 * users say most of it (Zipf with exponent 1.1: of 5,000 the first says some 15%), a moment of excitement brings a burst,
 * comments come in eight languages with emoji, most are short, one in a hundred is a gift, and gifts come in combos of
 * one giver. In a live trace likes lie between, which servers that merge them need not carry one by one.
 */

export interface TraceItem {
  /** Milliseconds since the trace began. */
  readonly atMs: number;
  readonly user: number;
  readonly kind: 'comment' | 'gift' | 'like';
  /** Empty for likes. */
  readonly text: string;
  /** Of gifts: the combo so far. Of likes: taps that one request brings. */
  readonly count: number;
}

/**
 * `even`: a steady beat. `poisson`: independent. `bursts`: independent, and each tenth second at five times the rate.
 * `live`: bursts, and for each comment three requests with likes, which come on top of the rate.
 */
export type Arrivals = 'even' | 'poisson' | 'bursts' | 'live';

export interface TraceOptions {
  readonly seed: number;
  readonly perSecond: number;
  readonly users: number;
  readonly arrivals: Arrivals;
  /** Texts are filled up to this many characters; 0 leaves them as they are. */
  readonly charactersLeast: number;
}

const phrases = [
  'what a goal',
  'gg',
  'hello from Lisbon',
  'can you show that again?',
  'first!',
  'who else is here every week',
  'that was so close, I nearly dropped my phone',
  'LOL',
  'love this song',
  'turn the music down a bit please',
  '太厉害了',
  '主播好',
  '这个怎么买？',
  '来了来了',
  '哈哈哈哈哈',
  '第一次看你的直播，真的很喜欢',
  '加油',
  'qué golazo',
  'hola a todos desde Bogotá',
  '¿cuánto cuesta?',
  'jajaja',
  'otra vez, por favor',
  'vamos equipo',
  'すごい！',
  'こんばんは〜',
  'もう一回見せて',
  'かわいい',
  '初見です',
  'それいくらですか？',
  '대박',
  '안녕하세요',
  '다시 보여주세요',
  'ㅋㅋㅋㅋㅋ',
  '언니 너무 예뻐요',
  'valeu',
  'que golaço',
  'manda salve pro Recife',
  'kkkkkk',
  'quanto custa o frete?',
  'बहुत बढ़िया',
  'नमस्ते दिल्ली से',
  'यह कितने का है?',
  'हाहाहा',
  'مرحبا من القاهرة',
  'رائع جدا',
  'ما شاء الله',
  'كم السعر؟',
  'هههههه',
  'شكرا على البث',
];
const emoji = ['🔥', '😂', '❤️', '👏', '🎉', '😮', '🙏', '👨‍👩‍👧', '🏆', '🇧🇷'];
const gifts = ['rose 🌹', 'rocket 🚀', 'crown 👑', 'balloon 🎈'];

const giftPart = 0.01;
/** Of gifts, how many go on with the combo before them. */
const comboPart = 0.4;
const likesPerComment = 3;
const tapsMax = 15;
const burstEveryMs = 10_000;
const burstMs = 1_000;
const burstFactor = 5;
const zipfExponent = 1.1;

/** Mulberry32: small, fast, and the same everywhere. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Items without end, in the order of their times. */
export function* trace(options: TraceOptions): Generator<TraceItem, never> {
  const random = randomFrom(options.seed);
  const pickUser = zipf(options.users, random);
  const isLive = options.arrivals === 'live';
  let atMs = 0;
  let combo = { user: 0, gift: '', count: 0 };
  for (let number = 0; ; number += 1) {
    const beforeMs = atMs;
    atMs = options.arrivals === 'even' ? (number * 1000) / options.perSecond : atMs + gapMs(options, atMs, random);
    if (isLive) yield* likes(beforeMs, atMs, pickUser, random);
    if (random() >= giftPart) {
      const text = comment(random).padEnd(options.charactersLeast, ' lorem ipsum');
      yield { atMs, user: pickUser(), kind: 'comment', text, count: 1 };
      continue;
    }
    const goesOn = combo.count > 0 && random() < comboPart;
    combo = goesOn ? { ...combo, count: combo.count + 1 } : { user: pickUser(), gift: pick(gifts, random), count: 1 };
    const text = combo.gift.padEnd(options.charactersLeast, ' lorem ipsum');
    yield { atMs, user: combo.user, kind: 'gift', text, count: combo.count };
  }
}

/** Likes between two comments, in the order of their times. */
function* likes(fromMs: number, toMs: number, pickUser: () => number, random: () => number): Generator<TraceItem> {
  for (let nth = 1; nth <= likesPerComment; nth += 1) {
    const atMs = fromMs + ((toMs - fromMs) * nth) / (likesPerComment + 1);
    yield { atMs, user: pickUser(), kind: 'like', text: '', count: 1 + Math.floor(random() * tapsMax) };
  }
}

function gapMs({ perSecond, arrivals }: TraceOptions, atMs: number, random: () => number): number {
  const mean = 1000 / perSecond;
  const gap = -Math.log(1 - random()) * mean;
  if (arrivals === 'poisson') return gap;
  const isBurst = atMs % burstEveryMs < burstMs;
  // Slower between the bursts, so that the rate as a whole is the one that was asked for.
  const rest = (burstEveryMs - burstMs * burstFactor) / (burstEveryMs - burstMs);
  return gap / (isBurst ? burstFactor : rest);
}

/** One phrase, seldom several: most comments are short, and a few go on. */
function comment(random: () => number): string {
  const parts = [pick(phrases, random)];
  while (random() < 0.25 && parts.length < 6) parts.push(pick(phrases, random));
  if (random() < 0.4) parts.push(pick(emoji, random).repeat(1 + Math.floor(random() * 3)));
  return parts.join(' ');
}

const pick = (from: readonly string[], random: () => number): string => from[Math.floor(random() * from.length)] ?? '';

/** Users by rank: the first says most. */
function zipf(users: number, random: () => number): () => number {
  const sums: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= users; rank += 1) {
    sum += rank ** -zipfExponent;
    sums.push(sum);
  }
  return () => {
    const point = random() * sum;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) >= point) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
