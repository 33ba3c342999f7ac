/**
 * Holds an implementation of `room-log` to its contract. Each test opens a store of its own and a room of its own, so
 * an implementation whose store is costly may share one between tests. Nothing here sleeps: tests wait for conditions,
 * or ask the harness to let time pass.
 */

import { describe } from 'node:test';
import { attendingContract } from './attending.ts';
import { hearingContract } from './hearing.ts';
import { keepingContract } from './keeping.ts';
import { moderatingContract } from './moderating.ts';
import { presenceContract } from './presence.ts';
import { readingContract } from './reading.ts';
import { retractingContract } from './retracting.ts';
import { samplingContract } from './sampling.ts';
import type { OpenHarness } from './stage.ts';
import { tallyContract } from './tallying.ts';
import { writingContract } from './writing.ts';

export function roomLogContract(name: string, open: OpenHarness): void {
  describe(`${name}: numbers, order and who hears`, () => hearingContract(open));
  describe(`${name}: coming and going in crowds`, () => attendingContract(open));
  describe(`${name}: how many watch`, () => presenceContract(open));
  describe(`${name}: repeats, rules, rates and the end`, () => writingContract(open));
  describe(`${name}: whom rules bind, and what outlives a room`, () => moderatingContract(open));
  describe(`${name}: state and counters`, () => keepingContract(open));
  describe(`${name}: an event that counts`, () => tallyContract(open));
  describe(`${name}: taking events back`, () => retractingContract(open));
  describe(`${name}: chat above the rate of a room`, () => samplingContract(open));
  describe(`${name}: reading, trimming and coming back`, () => readingContract(open));
}
