/** The public path prefix (`BASE_PATH`). A proxy may strip it or not; both are served. */

/** The address of a request as the routes know it. */
export function withoutBase(url: string, base: string): string {
  if (!url.startsWith(base)) return url;
  const rest = url.slice(base.length);
  if (rest.startsWith('/')) return rest;
  return rest === '' || rest.startsWith('?') ? `/${rest}` : url;
}
