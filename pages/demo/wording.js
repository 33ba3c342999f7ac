/** How the events of a room read in plain words. Nothing here touches the document. */

const nameOf = (user) => user?.name || user?.id || 'someone';

const brief = (value, lettersMax = 240) => {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text.length > lettersMax ? `${text.slice(0, lettersMax)}…` : text;
};

const gapCauses = {
  slow: 'the connection was too slow for this room',
  sampled: 'the room was busier than anyone can read',
  trimmed: 'they are older than what the room keeps',
  failover: 'the room log moved to another server',
};

/** `missed` may be null, which means that nobody can know the number. */
export const describeGap = ({ missed, lane, cause }) => {
  if (typeof missed !== 'number') return 'Some events were lost in a failover; nobody can say how many.';
  const one = lane === 'chat' ? 'comment' : 'event';
  const why = gapCauses[cause] === undefined ? '' : `: ${gapCauses[cause]}`;
  return `You missed ${missed} ${one}${missed === 1 ? '' : 's'}${why}.`;
};

const endCauses = {
  ended: 'The room has ended. Thank you for watching.',
  banned: 'You were banned from this room.',
  expired: 'Your token has expired. Open the room with a new one.',
  stuck: 'The connection took nothing for too long.',
  closing: 'The gateway is shutting down.',
  overloaded: 'The gateway is at a limit.',
  reauthorized: 'Your rights in this room have changed.',
  failed: 'The gateway could not go on with this stream.',
};

export const describeEnd = ({ cause, comeBack, reason }) => {
  const why = reason ? ` The reason: ${reason}` : '';
  const sentence = `${endCauses[cause] ?? `The stream ended: ${cause}.`}${why}`;
  return comeBack === 'yes' ? `${sentence} Coming back…` : sentence;
};

const without = (value, names) => Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));

const lengthOf = (seconds) => (typeof seconds === 'number' ? ` for ${seconds} s` : '');
const reasonOf = (reason) => (reason ? `: ${reason}` : '');

/** A signal that is not a comment, as one line of text. */
export const describeSignal = (name, event) => {
  if (typeof event !== 'object' || event === null) return brief(event);
  switch (name) {
    case 'gift':
      return `sends ${event.count ?? 1} × ${event.gift}${event.message ? `: ${event.message}` : ''}`;
    case 'notice': {
      const rest = Object.entries(without(event, ['from', 'at', 'title', 'audience']));
      return brief([brief(event.title), ...rest.map(([name, value]) => `${name}: ${brief(value, 80)}`)].join(' · '));
    }
    case 'direct': {
      const said = event.data?.text ?? event.data ?? without(event, ['from', 'at', 'to', 'type']);
      return event.type && event.type !== 'text' ? `${event.type}: ${brief(said)}` : brief(said);
    }
    case 'ban':
    case 'mute':
    case 'unban':
    case 'unmute': {
      const verb = { ban: 'banned', mute: 'muted', unban: 'unbanned', unmute: 'unmuted' }[name];
      const user = typeof event.user === 'string' ? event.user : nameOf(event.user);
      return `${verb} ${user}${lengthOf(event.seconds)}${reasonOf(event.reason)}`;
    }
    default:
      return brief(event.data ?? without(event, ['from', 'at']));
  }
};

export const describeValue = (value) => (value === undefined ? 'fetching…' : brief(value, 160));
