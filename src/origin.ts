/**
 * Web origins as browsers send them: of pages (`https://example.org`), and of apps that bring their pages along, such as
 * `capacitor://localhost`, whose schemes the URL standard gives no origin and browsers do.
 */

/** Of an origin or of an address below it; null where there is none, as of the text `null` and of local files. */
export function originOf(address: string): string | null {
  if (!URL.canParse(address)) return null;
  const { origin, protocol, host } = new URL(address);
  if (origin !== 'null') return origin;
  return host === '' ? null : `${protocol}//${host}`;
}

/** Why this text cannot be an origin that is let in, to follow it in a sentence; null where it can. */
export function faultOfOrigin(text: string): string | null {
  if (text === 'null') return 'is sent by every sandboxed page';
  if (text.includes('*')) return 'is a pattern; name each origin';
  const origin = originOf(text);
  if (origin === null) return 'is not one';
  return origin === text ? null : `is not one; ${origin} is`;
}
