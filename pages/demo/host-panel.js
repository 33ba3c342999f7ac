/**
 * What hosts and moderators can do: title, pinned message, private messages, and what a chosen name offers. The gateway
 * decides what is allowed; this only hides what would be refused anyway.
 */

import { explain } from './requests.js';

const find = (id) => document.getElementById(id);

export class HostPanel {
  #requests;
  #person = null;

  constructor(requests) {
    this.#requests = requests;
    this.#onSubmit('title-form', 'host-note', async (form) => {
      await requests.putPart('room', { title: form.get('title').trim() });
      return 'The title is set.';
    });
    this.#onSubmit('pinned-form', 'host-note', async (form) => {
      const text = form.get('text').trim();
      await (text === '' ? requests.deletePart('pinned') : requests.putPart('pinned', { text }));
      return text === '' ? 'Unpinned.' : 'Pinned.';
    });
    this.#onSubmit('direct-form', 'host-note', async (form, made) => {
      const to = form.get('to').trim();
      const answer = await requests.act('direct', { to: [to], type: 'text', data: { text: form.get('text').trim() } });
      made.elements.text.value = '';
      return answer?.connected === 0 ? `${to} is away and gets it on return.` : `Sent to ${to} alone.`;
    });
    for (const choice of find('person').querySelectorAll('[data-do]')) {
      choice.addEventListener('click', () => void this.#choose(choice));
    }
  }

  show(role) {
    const isHost = role === 'host' || role === 'service';
    find('host').hidden = !isHost && role !== 'moderator';
    for (const form of find('host').querySelectorAll('[data-least="host"]')) form.hidden = !isHost;
  }

  /** Opens what can be done about a user: `{id, name}` of the line that was chosen. */
  open(person) {
    this.#person = person;
    find('person-name').textContent = person.name;
    find('person-id').textContent = person.id;
    find('person-note').textContent = '';
    find('person').showModal();
  }

  async #choose(choice) {
    const { id } = this.#person;
    const kind = choice.dataset.do;
    if (kind === 'direct') {
      find('person').close();
      find('direct-to').value = id;
      find('direct-text').focus();
      return;
    }
    const body = { user: id };
    if (choice.dataset.seconds) body.seconds = Number(choice.dataset.seconds);
    choice.disabled = true;
    find('person-note').textContent = await this.#requests.act(kind, body).then(() => 'Done.', explain);
    choice.disabled = false;
  }

  /** One submission at a time; its outcome is said in the note. */
  #onSubmit(formId, noteId, send) {
    const form = find(formId);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const button = form.querySelector('[type="submit"]');
      if (button.disabled) return;
      button.disabled = true;
      void send(new FormData(form), form)
        .catch(explain)
        .then((sentence) => {
          find(noteId).textContent = sentence;
          button.disabled = false;
        });
    });
  }
}
