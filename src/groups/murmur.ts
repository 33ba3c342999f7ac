/**
 * MurmurHash2, 32 bits, seed 0, as nginx takes it for `split_clients`. Ours must agree with it to the bit, or `plan`
 * would speak of other slots than nginx uses; a test compares the two over a running nginx.
 */

const multiplier = 0x5bd1e995;

export function murmurHash2(bytes: Uint8Array): number {
  let left = bytes.length;
  let hash = left >>> 0;
  let at = 0;
  for (; left >= 4; left -= 4, at += 4) {
    let part = byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8);
    part |= (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24);
    part = Math.imul(part, multiplier);
    part ^= part >>> 24;
    hash = Math.imul(hash, multiplier) ^ Math.imul(part, multiplier);
  }
  if (left > 0) {
    for (let rest = left - 1; rest >= 0; rest -= 1) hash ^= byteAt(bytes, at + rest) << (8 * rest);
    hash = Math.imul(hash, multiplier);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  return (hash ^ (hash >>> 15)) >>> 0;
}

const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
