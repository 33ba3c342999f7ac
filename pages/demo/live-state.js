/**
 * The room's live state as this page knows it. It promises that an older version never replaces a newer one, that a
 * removed part stays removed, and that values too large for the stream are fetched. Drawing is left to the page.
 */

const fetchTriesMax = 3;

export class LiveState {
  total = 0;
  /** Name to `{version, value}`; `value` is undefined while it is being fetched for the first time. */
  parts = new Map();

  #removedAt = new Map();
  #history = 0;
  #readPart;
  #onChange;

  /** `readPart(name)` asks the gateway for one part; `onChange()` is called after every change. */
  constructor({ readPart, onChange }) {
    this.#readPart = readPart;
    this.#onChange = onChange;
  }

  /** Forgets everything and takes the snapshot: after a resume that was not exact, old versions compare to nothing. */
  replace(change) {
    this.#history += 1;
    this.parts.clear();
    this.#removedAt.clear();
    this.total = 0;
    this.merge(change);
  }

  merge({ total = 0, parts = {}, removed = [] }) {
    for (const [name, part] of Object.entries(parts)) this.#set(name, part);
    for (const name of removed) this.#remove(name, total);
    this.total = Math.max(this.total, total);
    this.#onChange();
  }

  value(name) {
    return this.parts.get(name)?.value;
  }

  #set(name, part) {
    const known = this.parts.get(name);
    if (part.version <= Math.max(known?.version ?? -1, this.#removedAt.get(name) ?? -1)) return;
    this.#removedAt.delete(name);
    if ('value' in part) {
      this.parts.set(name, { version: part.version, value: part.value });
      return;
    }
    this.parts.set(name, { version: part.version, value: known?.value });
    void this.#fetch(name, part.version);
  }

  #remove(name, total) {
    const known = this.parts.get(name);
    if (known !== undefined && known.version > total) return;
    this.parts.delete(name);
    this.#removedAt.set(name, total);
  }

  async #fetch(name, version) {
    const history = this.#history;
    for (let tries = 1; tries <= fetchTriesMax; tries += 1) {
      const part = await this.#readPart(name).then(
        (answer) => answer?.parts?.[name] ?? answer,
        () => null,
      );
      if (history !== this.#history || this.parts.get(name)?.version !== version) return;
      if (part !== null && part.version >= version && 'value' in part) {
        this.parts.set(name, { version: part.version, value: part.value });
        this.total = Math.max(this.total, part.version);
        this.#onChange();
        return;
      }
      await new Promise((wake) => setTimeout(wake, 500 * tries * (1 + Math.random())));
    }
  }
}
