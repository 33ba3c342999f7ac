/**
 * The scrolling lines: comments, signals and notes. It promises at most 300 lines in the document, one pass of drawing
 * per frame however busy the room is, and to leave a reader who has scrolled up where they are.
 */

const linesMax = 300;
const nearBottomPx = 48;
const hues = 6;

export class Lines {
  /** Whether names of lines to come are buttons: true for those who moderate. */
  areNamesChoosable = false;

  #list;
  #scroll;
  #toNewest;
  #onPerson;
  #waiting = [];
  #isAtBottom = true;
  #frame = 0;

  /** `onPerson({id, name})` is called when a name is chosen. */
  constructor({ list, scroll, toNewest, onPerson }) {
    this.#list = list;
    this.#scroll = scroll;
    this.#toNewest = toNewest;
    this.#onPerson = onPerson;
    scroll.addEventListener('scroll', () => this.#look(), { passive: true });
    toNewest.addEventListener('click', () => this.#goToNewest());
    new ResizeObserver(() => this.#isAtBottom && this.#goToNewest()).observe(scroll);
  }

  /** A comment. `isOwn` marks the reader's own. */
  comment({ from, at, text, isOwn }) {
    const line = element('li', `line comment${isOwn ? ' own' : ''}`);
    line.append(this.#who(from), this.#badge(from, isOwn), words(text));
    this.#add(line, at);
  }

  /** A signal that is no comment: a label, who sent it where known, and what it says. */
  signal({ label, from, at, text, look = 'signal' }) {
    const line = element('li', `line ${look}`);
    line.append(element('span', 'label', label));
    if (from) line.append(this.#who(from));
    line.append(words(text));
    this.#add(line, at);
  }

  /** What the page itself has to say; `look` is `calm`, `good` or `warn`. */
  note(text, look = 'calm') {
    this.#add(element('li', `line note-line ${look}`, text), undefined);
  }

  clear() {
    this.#waiting = [];
    this.#list.replaceChildren();
  }

  #add(line, at) {
    if (typeof at === 'number') line.title = new Date(at).toLocaleTimeString();
    this.#waiting.push(line);
    if (this.#waiting.length > linesMax) this.#waiting.shift();
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    this.#list.append(...this.#waiting);
    this.#waiting = [];
    while (this.#list.childElementCount > linesMax) this.#list.firstElementChild.remove();
    if (this.#isAtBottom) this.#goToNewest();
    else this.#toNewest.hidden = false;
  }

  #look() {
    const belowPx = this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight;
    this.#isAtBottom = belowPx < nearBottomPx;
    if (this.#isAtBottom) this.#toNewest.hidden = true;
  }

  #goToNewest() {
    this.#isAtBottom = true;
    this.#toNewest.hidden = true;
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  #who(from) {
    const id = from?.id ?? '';
    const name = from?.name || id || 'someone';
    const who = element(this.areNamesChoosable && id !== '' ? 'button' : 'span', `who hue-${hueOf(id)}`, name);
    if (who instanceof HTMLButtonElement) {
      who.type = 'button';
      who.addEventListener('click', () => this.#onPerson({ id, name }));
    }
    return who;
  }

  #badge(from, isOwn) {
    if (isOwn) return element('span', 'badge you', 'you');
    return from?.role && from.role !== 'viewer' ? element('span', 'badge', from.role) : '';
  }
}

/** The only way text of others enters the document: as text. */
export const element = (tag, className, text = '') => {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
};

const words = (text) => element('span', 'words', text);

const hueOf = (id) => {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  return sum % hues;
};
