/**
 * Web origins as browsers send them: of pages (`https://example.org`), and of apps with their own pages, such as
 * `capacitor://localhost`, to whose schemes browsers give an origin and the URL standard none.
 */

/** The origin of an address; null if there is none, as for the text `null` and local files. */
export function originOf(address: string): string | null {
  if (!URL.canParse(address)) return null;
  const { origin, protocol, host } = new URL(address);
  if (origin !== 'null') return origin;
  return host === '' ? null : `${protocol}//${host}`;
}

/** Why this text is no origin to allow, as the end of a sentence; null if it is one. */
export function faultOfOrigin(text: string): string | null {
  if (text === 'null') return 'is sent by every sandboxed page';
  if (text.includes('*')) return 'is a pattern; name each origin';
  const origin = originOf(text);
  if (origin === null) return 'is not one';
  return origin === text ? null : `is not one; ${origin} is`;
}
