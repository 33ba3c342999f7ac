/**
 * The room's stream: one EventSource at a time, what to do when it gives up, and the cable that can be pulled. It
 * promises to come back with the last id it has seen. What the events mean is left to the page.
 *
 * Modes: `connecting` (never live yet), `live` (a resume has arrived), `reconnecting` (the browser or this class is
 * trying again), `unplugged` (the cable is out), `closed` (coming back makes no sense; the reason says why).
 */

import { explain, refusalOf } from './requests.js';

const retryFirstMs = 1000;
const retryCeilingMs = 30_000;

export class Stream {
  /** The id of the newest event that carried one; empty before the first. */
  lastId = '';
  mode = 'connecting';

  #room;
  #token;
  #names;
  #onEvent;
  #onMode;
  #source = null;
  #timer = undefined;
  #probe = null;
  #failures = 0;

  /** `onEvent(name, data, id)` gets every event of `names` in order; `onMode(mode, note)` every change of mode. */
  constructor({ room, token, names, onEvent, onMode }) {
    this.#room = room;
    this.#token = token;
    this.#names = names;
    this.#onEvent = onEvent;
    this.#onMode = onMode;
  }

  open() {
    this.#letGo();
    const source = new EventSource(this.#address({ isForEventSource: true }));
    this.#source = source;
    for (const name of this.#names) source.addEventListener(name, (event) => this.#take(source, name, event));
    source.addEventListener('error', () => this.#lost(source));
  }

  /** Ends the stream for good and says why. */
  close(reason) {
    this.#letGo();
    this.#enter('closed', reason);
  }

  /** Closes the connection for `pauseMs`, then returns with the last id, as a phone does after a tunnel. */
  pullCable(pauseMs) {
    this.#letGo();
    this.#enter('unplugged', '');
    this.#timer = setTimeout(() => {
      this.#enter('reconnecting', '');
      this.open();
    }, pauseMs);
  }

  /** EventSource cannot set headers, so it alone carries its token and its last id in the query. */
  #address({ isForEventSource }) {
    const query = new URLSearchParams({ history: '50' });
    if (this.lastId !== '') query.set('lastEventId', this.lastId);
    if (isForEventSource && this.#token !== null) query.set('access_token', this.#token);
    return new URL(`../rooms/${encodeURIComponent(this.#room)}/stream?${query}`, document.baseURI).href;
  }

  #take(source, name, event) {
    if (source !== this.#source) return;
    if (event.lastEventId !== '') this.lastId = event.lastEventId;
    if (name === 'resume') {
      this.#failures = 0;
      this.#enter('live', '');
    }
    this.#onEvent(name, parse(event.data), event.lastEventId);
  }

  #lost(source) {
    if (source !== this.#source) return;
    if (this.mode === 'live') this.#enter('reconnecting', '');
    if (source.readyState === EventSource.CLOSED) void this.#findOutWhy();
  }

  /**
   * The browser gives up on any answer but 200 and does not say which one it was. Asking once more with fetch tells a
   * refusal, after which there is no return, from a proxy that was away, after which there is.
   */
  async #findOutWhy() {
    this.#letGo();
    const probe = new AbortController();
    this.#probe = probe;
    let answer = null;
    try {
      const headers = { Accept: 'text/event-stream' };
      if (this.#token !== null) headers.Authorization = `Bearer ${this.#token}`;
      answer = await fetch(this.#address({ isForEventSource: false }), {
        headers,
        credentials: 'omit',
        cache: 'no-store',
        signal: AbortSignal.any([probe.signal, AbortSignal.timeout(10_000)]),
      });
    } catch {
      // The network, the time limit or `close()` ended it. The check below tells which.
      answer = null;
    }
    if (this.#probe !== probe) return;
    const isRefused = answer !== null && answer.status >= 400 && answer.status < 500 && answer.status !== 429;
    if (answer?.status === 204) this.close('This room has ended for you.');
    else if (isRefused) {
      const refusal = await refusalOf(answer);
      if (this.#probe === probe) this.close(explain(refusal));
    } else this.#tryLater();
    probe.abort();
  }

  #tryLater() {
    const ceilingMs = Math.min(retryCeilingMs, retryFirstMs * 2 ** this.#failures);
    this.#failures += 1;
    this.#enter('reconnecting', '');
    this.#timer = setTimeout(() => this.open(), ceilingMs * (0.5 + Math.random() / 2));
  }

  #letGo() {
    clearTimeout(this.#timer);
    this.#probe?.abort();
    this.#probe = null;
    this.#source?.close();
    this.#source = null;
  }

  #enter(mode, note) {
    this.mode = mode;
    this.#onMode(mode, note);
  }
}

/** Data that is no JSON comes from a kind this page does not know; it is shown as it is. */
const parse = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};
