/**
 * What Redis' error replies mean, by their first word or words.
 */

/** They speak of rights, whoever raises them: Redis itself, or a command within a function before Redis 7.2. */
export const isDenial = (message: string): boolean =>
  /^(NOPERM|NOAUTH)\b|^ERR The user executing the script/.test(message);

/** Nothing was written: Redis refuses before a function runs, or the function fails as shared.lua wants it. */
export const isWithoutTrace = (message: string): boolean =>
  /^(OOM|READONLY|LOADING|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|BUSY|NOSCRIPT|WRONGTYPE|MISCONF|WRONGPASS|TRYAGAIN|MOVED|ASK|CROSSSLOT)\b|^Stream isn't writeable/.test(
    message,
  ) ||
  isDenial(message) ||
  isNoLibrary(message);

/** Passes by itself once a server has started, a replica was promoted or a slot has moved. */
export const isPassing = (message: string): boolean =>
  /^(READONLY|LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN)\b/.test(message);

/** The server has forgotten our functions, or never had them. */
export const isNoLibrary = (message: string): boolean => message.startsWith('ERR Function not found');

/** The slot is moving or elsewhere, which is no fault of the server. */
export const isOfASlot = (message: string): boolean => /^(TRYAGAIN|MOVED|ASK|CROSSSLOT)\b/.test(message);

/** Somebody else uses the keys of one room. */
export const isOfARoom = (message: string): boolean => message.startsWith('WRONGTYPE');
