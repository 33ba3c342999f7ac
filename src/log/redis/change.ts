/**
 * A change as the arguments of the function `append`: the entry's content and whatever else its type needs, in the
 * order that append.lua gives.
 */

import type { Settings } from '../../settings.ts';
import { type Change, isSampled, lastingKinds } from '../room-log.ts';
import { encodeContent } from './entry-text.ts';

export type ChangeSettings = Pick<Settings, 'chatPerSecond' | 'statePartsMax' | 'countMs' | 'rulesMax'>;

export function describeChange(change: Change, settings: ChangeSettings): (string | number)[] {
  switch (change.type) {
    case 'event': {
      const { kind, lane, audience, body } = change;
      const targets = typeof audience === 'string' ? '' : audience.join(' ');
      const perSecond = isSampled(change) ? settings.chatPerSecond : '';
      return [encodeContent(kind, lane, audience, body), targets, perSecond];
    }
    case 'put': {
      const content = stateContent(`{"part":${JSON.stringify(change.part)},"value":${change.value}}`);
      return [content, change.part, change.value, change.ifVersion ?? '', settings.statePartsMax];
    }
    case 'remove':
      return [stateContent(JSON.stringify({ part: change.part })), change.part, change.ifVersion ?? ''];
    case 'count':
      return ['', change.counter, change.by, settings.countMs];
    case 'tally': {
      const { kind, body, receipt, counter, by } = change;
      const receiptHead = encodeContent('direct', 'must', [receipt.to], '');
      const content = encodeContent(kind, 'must', 'all', body);
      return [content, receiptHead, receipt.body, receipt.to, counter, by, settings.countMs];
    }
    case 'retract':
      return [change.body, change.target.epoch, change.target.offset, lasting];
    case 'rule': {
      const content = encodeContent(change.kind, 'must', `staff:${change.user}`, change.body);
      return [content, `${change.rule}:${change.user}`, change.seconds ?? '', settings.rulesMax];
    }
    case 'end':
      return [encodeContent('end', 'must', 'all', change.body)];
  }
}

const lasting = ` ${[...lastingKinds].join(' ')} `;

const stateContent = (body: string): string => encodeContent('state', 'must', 'all', body);
