/**
 * The demo room. Takes the token from the fragment, opens the stream and wires its events to the page. Each tab keeps a
 * token of its own in its session storage and sends it itself, so that a host and a viewer fit side by side in one
 * browser, which a shared cookie would not allow.
 */

import { HostPanel } from './host-panel.js';
import { Likes } from './likes.js';
import { element, Lines } from './lines.js';
import { LiveState } from './live-state.js';
import { explain, newKey, Refused, requestsFor } from './requests.js';
import { Stream } from './stream.js';
import { describeEnd, describeGap, describeSignal, describeValue } from './wording.js';

const cableMs = 5000;
const extraNamesMax = 20;
const signals = ['gift', 'notice', 'ban', 'unban', 'mute', 'unmute', 'message'];
const knownNames = ['resume', 'state', 'comment', 'direct', 'likes', 'audience', 'gap', 'move', 'end', ...signals];

const find = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat();

const query = new URLSearchParams(location.search);
const room = query.get('room') ?? 'demo';
const token = takeToken();
const me = { id: null, role: 'viewer', name: nameInToken() };

const requests = requestsFor(room, token);
const hostPanel = new HostPanel(requests);
const lines = new Lines({
  list: find('lines'),
  scroll: find('scroll'),
  toNewest: find('to-newest'),
  onPerson: (person) => hostPanel.open(person),
});
const likes = new Likes({ act: requests.act, sky: find('hearts'), onRefused: (sentence) => say(sentence) });
const state = new LiveState({ readPart: requests.readPart, onChange: drawState });
const stream = new Stream({ room, token, names: namesToHear(), onEvent: take, onMode: drawMode });

let likesTotal = 0;
/** Set by a resume: whether the next state event is a whole snapshot rather than a change. */
let hasBeenLive = false;

start();

function start() {
  addEventListener('hashchange', () => location.reload());
  find('cable').addEventListener('click', pullCable);
  find('like').addEventListener('click', () => likes.tap());
  wireComposer();
  drawMe();
  document.title = `${room} · Ringside`;
  find('title').textContent = room;
  stream.open();
}

/** The fragment never reaches a server; taking it out of the address bar keeps it out of history and bookmarks too. */
function takeToken() {
  const kept = `ringside.token.${room}`;
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    sessionStorage.setItem(kept, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  return sessionStorage.getItem(kept);
}

/** For display only: whether the token is worth anything is for the gateway to say. */
function nameInToken() {
  try {
    const payload = (token ?? '').split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).name ?? null;
  } catch {
    return null;
  }
}

/** EventSource only hears names it was told of, so hosts' own event names come in the address: `?events=a,b`. */
function namesToHear() {
  const asked = (query.get('events') ?? '').split(',').filter((name) => /^[a-z][a-z0-9.-]{0,31}$/.test(name));
  const reserved = new Set([...knownNames, 'error', 'open']);
  return [...knownNames, ...new Set(asked.filter((name) => !reserved.has(name)).slice(0, extraNamesMax))];
}

function take(name, event, id) {
  if (id !== '') find('last-id').textContent = id;
  const act = reactions[name];
  if (act !== undefined) act(event);
  else lines.signal({ label: name, from: event?.from, at: event?.at, text: describeSignal(name, event) });
}

const reactions = {
  resume: ({ verdict, missed, cause, you }) => {
    me.id = you?.id ?? null;
    me.role = you?.role ?? 'viewer';
    drawMe();
    if (verdict === 'reset') {
      lines.clear();
      lines.note('This room started anew.', 'warn');
    } else if (verdict === 'gap') lines.note(describeGap({ missed, cause }), 'warn');
    else if (verdict === 'exact' && hasBeenLive) lines.note('Back, nothing missed.', 'good');
    hasBeenLive = true;
  },
  state: (change) => {
    if (change.whole) {
      likesTotal = 0;
      state.replace(change);
    } else state.merge(change);
  },
  comment: ({ from, at, text }) => {
    lines.comment({ from, at, text: String(text), isOwn: me.id !== null && from?.id === me.id });
  },
  direct: (event) => {
    const text = describeSignal('direct', event);
    lines.signal({ label: 'only for you', from: event?.from, at: event?.at, text, look: 'direct' });
  },
  likes: ({ delta, total }) => {
    likesTotal = Math.max(likesTotal, total);
    drawLikes();
    likes.celebrate(delta);
  },
  audience: ({ viewers }) => {
    find('audience').hidden = false;
    find('audience').textContent = `${numbers.format(viewers)} watching`;
  },
  gap: (gap) => lines.note(describeGap(gap), 'warn'),
  move: () => lines.note('Moving to another gateway; back in a moment.'),
  end: (end) => {
    const sentence = describeEnd(end);
    lines.note(sentence, end.comeBack === 'yes' ? 'calm' : 'warn');
    // Without a new token the browser would only be refused, so both other answers end it here.
    if (end.comeBack !== 'yes') stream.close(sentence);
  },
};

function drawMode(mode, note) {
  const shown = find('mode');
  shown.dataset.mode = mode;
  shown.textContent = mode;
  find('air').classList.toggle('off', mode !== 'live');
  find('air').textContent = mode === 'closed' ? 'off air' : 'live';
  find('cable').disabled = mode !== 'live';
  find('banner').hidden = note === '';
  find('banner').textContent = note;
  if (mode !== 'closed') return;
  likes.close();
  for (const id of ['comment', 'send', 'like']) find(id).disabled = true;
}

function drawMe() {
  find('me-name').textContent = me.name || me.id || (token === null ? 'watching without a name' : '…');
  find('me-role').hidden = me.id === null;
  find('me-role').textContent = me.role;
  lines.areNamesChoosable = me.role !== 'viewer';
  for (const id of ['comment', 'send', 'like']) find(id).disabled = token === null;
  if (token === null) find('comment').placeholder = 'Open the room with a token to join in';
  hostPanel.show(me.role);
}

function drawState() {
  find('title').textContent = state.value('room')?.title || room;
  const pinned = state.value('pinned')?.text;
  find('pinned').hidden = !pinned;
  find('pinned-text').textContent = pinned ?? '';
  likesTotal = Math.max(likesTotal, state.value('likes')?.total ?? 0);
  drawLikes();
  find('total').textContent = String(state.total);
  find('no-parts').hidden = state.parts.size > 0;
  const rows = [...state.parts].sort(([a], [b]) => (a < b ? -1 : 1));
  find('parts').replaceChildren(...rows.flatMap(([name, part]) => partRows(name, part)));
}

function partRows(name, { version, value }) {
  const term = element('dt', '', name);
  term.append(element('code', 'version', `v${version}`));
  return [term, element('dd', '', describeValue(value))];
}

function drawLikes() {
  find('likes').textContent = numbers.format(likesTotal);
  find('like').setAttribute('aria-label', `Like; ${likesTotal} so far`);
}

function pullCable() {
  stream.pullCable(cableMs);
  lines.note('You pulled the cable. The room goes on without you for five seconds.');
  let leftS = cableMs / 1000;
  const button = find('cable');
  button.textContent = `Back in ${leftS} s`;
  const clock = setInterval(() => {
    leftS -= 1;
    if (leftS > 0) button.textContent = `Back in ${leftS} s`;
    else {
      clearInterval(clock);
      button.textContent = 'Pull the cable';
    }
  }, 1000);
}

function wireComposer() {
  const field = find('comment');
  const send = find('send');
  /** The text whose outcome is not known yet, with its key: sent again it is the same comment, not a second one. */
  let unsure = null;
  find('comment-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text === '' || send.disabled) return;
    if (unsure?.text !== text) unsure = { text, key: newKey() };
    send.disabled = true;
    let restS = 0;
    try {
      await requests.act('comment', { text }, unsure.key);
      unsure = null;
      if (field.value.trim() === text) field.value = '';
      say('');
    } catch (problem) {
      say(explain(problem));
      if (problem instanceof Refused && !problem.isWorthRepeating) unsure = null;
      restS = Math.min(60, problem.retryAfterS ?? 0);
    }
    setTimeout(() => {
      send.disabled = stream.mode === 'closed';
      if (restS > 0) say('');
    }, restS * 1000);
  });
}

function say(sentence) {
  find('comment-note').textContent = sentence;
}
