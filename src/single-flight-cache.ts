/**
 * A cache with single flight: concurrent callers of one key share one load, and its value is kept. The kept values
 * never weigh more than `weightMax`: the oldest are dropped first. A load that fails leaves nothing behind.
 */

import type { Clock, Timer } from './clock.ts';

export interface CacheOptions<Value> {
  /** How long a value is kept after it was loaded. Null: until the cache is full. */
  readonly expiry: { readonly clock: Clock; readonly keptMs: number } | null;
  readonly weightMax: number;
  /** A value of weight 0 is returned to its callers, and not kept. */
  readonly weigh: (value: Value) => number;
}

interface Slot<Value> {
  readonly answer: Promise<Value>;
  value: Value | undefined;
  /** 0 while the value is being loaded. */
  weight: number;
  timer: Timer | null;
}

export class SingleFlightCache<Value> {
  readonly #options: CacheOptions<Value>;
  /** The oldest first. */
  readonly #slots = new Map<string, Slot<Value>>();
  #weight = 0;

  constructor(options: CacheOptions<Value>) {
    this.#options = options;
  }

  /** The weight of all kept values. */
  get weight(): number {
    return this.#weight;
  }

  /** Whether a value is kept or being loaded. */
  has(key: string): boolean {
    return this.#slots.has(key);
  }

  /** The value that is kept. */
  peek(key: string): Value | undefined {
    return this.#slots.get(key)?.value;
  }

  /** The kept value, or that of the load under way, or of `load`. Rejects as the load does. */
  get(key: string, load: () => Promise<Value>): Promise<Value> {
    return (this.#slots.get(key) ?? this.#open(key, load())).answer;
  }

  /** Replaces the kept value, or the load under way. The value is now the newest of all. */
  put(key: string, value: Value): void {
    this.drop(key);
    this.#keep(key, this.#open(key, Promise.resolve(value)), value);
  }

  /** The next `get` loads again. `only`: does nothing unless this is still the answer. */
  drop(key: string, only?: Promise<Value>): void {
    const slot = this.#slots.get(key);
    if (slot === undefined || (only !== undefined && slot.answer !== only)) return;
    this.#slots.delete(key);
    this.#weight -= slot.weight;
    slot.timer?.cancel();
  }

  clear(): void {
    for (const key of this.#slots.keys()) this.drop(key);
  }

  #open(key: string, answer: Promise<Value>): Slot<Value> {
    const slot: Slot<Value> = { answer, value: undefined, weight: 0, timer: null };
    this.#slots.set(key, slot);
    answer.then(
      (value) => this.#keep(key, slot, value),
      () => this.drop(key, answer),
    );
    return slot;
  }

  #keep(key: string, slot: Slot<Value>, value: Value): void {
    if (this.#slots.get(key) !== slot || slot.weight > 0) return;
    const { expiry, weigh, weightMax } = this.#options;
    slot.value = value;
    slot.weight = weigh(value);
    this.#weight += slot.weight;
    if (slot.weight === 0) this.drop(key);
    else if (expiry !== null) slot.timer = expiry.clock.after(expiry.keptMs, () => this.drop(key));
    for (const [oldest, { weight }] of this.#slots) {
      if (this.#weight <= weightMax) return;
      if (weight > 0) this.drop(oldest);
    }
  }
}
