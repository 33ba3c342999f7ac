/**
 * Likes: taps are gathered and sent at most twice a second, and hearts rise for one's own taps and for those of others.
 * A batch whose answer did not come is sent again with its own key, so that no tap counts twice.
 */

import { explain, newKey, Refused } from './requests.js';

const gatherMs = 500;
const batchMax = 50;
const tapsMax = 200;
const triesMax = 4;
const heartsMax = 36;

export class Likes {
  #act;
  #sky;
  #onRefused;
  #taps = 0;
  #unconfirmed = 0;
  #batch = null;
  #timer = undefined;

  /** `act(kind, body, key)` posts; `sky` is the element that hearts rise in; `onRefused(sentence)` says why not. */
  constructor({ act, sky, onRefused }) {
    this.#act = act;
    this.#sky = sky;
    this.#onRefused = onRefused;
  }

  tap() {
    if (this.#taps >= tapsMax) return;
    this.#taps += 1;
    this.#raise(1);
    this.#timer ??= setTimeout(() => void this.#send(), gatherMs);
  }

  /** Hearts for what the room tells, less those that already rose for one's own taps. */
  celebrate(delta) {
    const own = Math.min(this.#unconfirmed, delta);
    this.#unconfirmed -= own;
    this.#raise(Math.min(8, delta - own));
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#taps = 0;
    this.#batch = null;
  }

  async #send() {
    if (this.#batch === null) {
      this.#batch = { count: Math.min(this.#taps, batchMax), key: newKey(), tries: 0 };
      this.#taps -= this.#batch.count;
      this.#unconfirmed += this.#batch.count;
    }
    const batch = this.#batch;
    batch.tries += 1;
    let pauseMs = gatherMs;
    try {
      await this.#act('like', { count: batch.count }, batch.key);
      this.#batch = null;
    } catch (problem) {
      pauseMs = this.#afterRefusal(batch, problem);
    }
    const hasMore = this.#taps > 0 || this.#batch !== null;
    this.#timer = hasMore ? setTimeout(() => void this.#send(), pauseMs) : undefined;
  }

  #afterRefusal(batch, problem) {
    if (problem instanceof Refused && problem.isWorthRepeating && batch.tries < triesMax) {
      return Math.max((problem.retryAfterS ?? 0) * 1000, gatherMs * 2 ** batch.tries * (1 + Math.random()));
    }
    this.#batch = null;
    this.#taps = 0;
    this.#unconfirmed = 0;
    this.#onRefused(explain(problem));
    return gatherMs;
  }

  #raise(count) {
    if (document.hidden || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    for (let n = 0; n < count && this.#sky.childElementCount < heartsMax; n += 1) this.#sky.append(heart(n));
  }
}

const heart = (nth) => {
  const made = document.createElement('span');
  made.className = `heart tint-${Math.floor(Math.random() * 4)}`;
  made.textContent = '♥';
  const sway = (Math.random() - 0.5) * 70;
  const rise = 150 + Math.random() * 130;
  const size = 0.7 + Math.random() * 0.7;
  const flight = made.animate(
    [
      { transform: 'translate(0, 0) scale(0.2)', opacity: 0 },
      { transform: `translate(${sway * 0.3}px, ${-rise * 0.25}px) scale(${size * 1.15})`, opacity: 1, offset: 0.18 },
      { transform: `translate(${-sway * 0.5}px, ${-rise * 0.6}px) scale(${size})`, opacity: 0.9, offset: 0.6 },
      { transform: `translate(${sway}px, ${-rise}px) scale(${size * 0.9})`, opacity: 0 },
    ],
    { duration: 1500 + Math.random() * 900, delay: nth * 70, easing: 'ease-out', fill: 'both' },
  );
  flight.addEventListener('finish', () => made.remove());
  return made;
};
