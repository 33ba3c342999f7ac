/**
 * What a live room says, made up from a seed: the same seed gives the same users, words and times. Few users say most
 * of it (Zipf), a moment of excitement brings a burst, comments come in several languages with emoji, most are short,
 * and now and then somebody sends a gift.
 */

export interface TraceItem {
  /** Milliseconds since the trace began. */
  readonly atMs: number;
  readonly user: number;
  readonly kind: 'comment' | 'gift';
  readonly text: string;
}

/** `even`: a steady beat. `poisson`: independent. `bursts`: independent, and each tenth second at five times the rate. */
export type Arrivals = 'even' | 'poisson' | 'bursts';

export interface TraceOptions {
  readonly seed: number;
  readonly perSecond: number;
  readonly users: number;
  readonly arrivals: Arrivals;
  /** Texts are filled up to this many characters; 0 leaves them as they are. */
  readonly charactersLeast: number;
}

const phrases = [
  ...['what a goal', 'gg', 'hello from Lisbon', 'can you show that again?', 'first!', 'who else is here every week'],
  ...['that was so close, I nearly dropped my phone', 'LOL', 'love this song', 'turn the music down a bit please'],
  ...['太厉害了', '主播好', '这个怎么买？', '来了来了', '哈哈哈哈哈', '第一次看你的直播，真的很喜欢', '加油'],
  ...['qué golazo', 'hola a todos desde Bogotá', '¿cuánto cuesta?', 'jajaja', 'otra vez, por favor', 'vamos equipo'],
  ...['مرحبا من القاهرة', 'رائع جدا', 'ما شاء الله', 'كم السعر؟', 'هههههه', 'شكرا على البث'],
];
const emoji = ['🔥', '😂', '❤️', '👏', '🎉', '😮', '🙏', '👨‍👩‍👧', '🏆', '🇧🇷'];
const gifts = ['rose 🌹', 'rocket 🚀', 'crown 👑', 'balloon 🎈'];

const giftPart = 0.01;
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
  let atMs = 0;
  for (let number = 0; ; number += 1) {
    atMs = options.arrivals === 'even' ? (number * 1000) / options.perSecond : atMs + gapMs(options, atMs, random);
    const isGift = random() < giftPart;
    const text = isGift ? pick(gifts, random) : comment(random);
    yield {
      atMs,
      user: pickUser(),
      kind: isGift ? 'gift' : 'comment',
      text: text.padEnd(options.charactersLeast, ' lorem ipsum'),
    };
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
