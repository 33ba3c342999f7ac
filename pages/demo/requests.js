/**
 * What the page asks of the gateway besides the stream: writes, and single state parts. Every call ends in a value or
 * in a `Refused`, and `explain` turns that into a sentence for people.
 */

const waitMs = 10_000;

/** `code` is the gateway's, or `unreachable` when no answer came: the write may then have happened or not. */
export class Refused extends Error {
  constructor(code, status, detail, retryAfterS) {
    super(detail);
    this.name = 'Refused';
    this.code = code;
    this.status = status;
    this.retryAfterS = retryAfterS;
  }

  /** Sending the same body with the same key again can only help. */
  get isWorthRepeating() {
    return this.code === 'unreachable' || this.status === 429 || this.status >= 502;
  }
}

/** 32 hexadecimal digits. `crypto.randomUUID` would need a secure context, which a phone on the same network lacks. */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Calls for one room on behalf of one token; a null token asks as an anonymous viewer. */
export const requestsFor = (room, token) => {
  // Beside this page, whatever path the gateway lies below.
  const base = new URL(`../rooms/${encodeURIComponent(room)}`, document.baseURI).pathname;

  const ask = async (method, path, body, key) => {
    const headers = { Accept: 'application/json, application/problem+json' };
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (key !== undefined) headers['Idempotency-Key'] = key;
    const init = { method, headers, credentials: 'omit', signal: AbortSignal.timeout(waitMs) };
    if (body !== undefined) init.body = JSON.stringify(body);
    let answer;
    try {
      answer = await fetch(base + path, init);
    } catch {
      throw new Refused('unreachable', 0, 'No answer came.', null);
    }
    if (!answer.ok) throw await refusalOf(answer);
    try {
      const text = await answer.text();
      return text === '' ? null : JSON.parse(text);
    } catch {
      throw new Refused('unreachable', 0, 'The answer broke off.', null);
    }
  };

  return {
    act: (kind, body, key = newKey()) => ask('POST', `/actions/${kind}`, body, key),
    putPart: (name, value) => ask('PUT', `/state/${encodeURIComponent(name)}`, value),
    deletePart: (name) => ask('DELETE', `/state/${encodeURIComponent(name)}`),
    readPart: (name) => ask('GET', `/state/${encodeURIComponent(name)}`),
  };
};

/** Reads a problem document (RFC 9457); an answer without one, such as a proxy's, keeps its status only. */
export const refusalOf = async (answer) => {
  let problem = null;
  try {
    problem = await answer.json();
  } catch {
    problem = null;
  }
  const afterS = Number.parseInt(answer.headers.get('Retry-After') ?? '', 10);
  const code = typeof problem?.code === 'string' ? problem.code : 'unknown';
  const detail = problem?.detail ?? problem?.title ?? `The gateway answered ${answer.status}.`;
  return new Refused(code, answer.status, String(detail), Number.isFinite(afterS) ? afterS : null);
};

const sentences = {
  unauthorized: 'This room needs a valid token. Open the link that the gateway printed.',
  'not-this-room': 'Your token does not open this room.',
  'not-this-role': 'Your role does not allow this.',
  muted: 'You are muted in this room for now.',
  banned: 'You were banned from this room.',
  'room-ended': 'The room has ended.',
  'too-large': 'That is too long.',
  'log-unavailable': 'The room cannot take this right now; nothing was sent. Try again in a moment.',
  'outcome-unknown': 'It is not known whether this arrived. Sending it again is safe: it will appear once.',
  unreachable: 'No answer came. Sending it again is safe: it will appear once.',
  overloaded: 'The gateway is very busy. Try again in a moment.',
};

export const explain = (problem) => {
  if (!(problem instanceof Refused)) throw problem;
  if (problem.status === 429) {
    return problem.retryAfterS === null
      ? 'A little slower, please.'
      : `A little slower, please: again in ${problem.retryAfterS} s.`;
  }
  return sentences[problem.code] ?? problem.message;
};
