/**
 * Mistakes that a gateway like this one is likely to contain, each as a change to the source. The model must find
 * every one of them; a model that does not is blind there. The texts are exact, so they stay in step with the source:
 * where one is no longer found, its test says so.
 */

export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Found by the stories that are told, as random ones seldom come to it. */
  readonly isRare?: true;
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'a viewer is attached after its history was read, and what came in between is lost',
    file: 'src/hub/catch-up.ts',
    find: 'const { tape } = viewerSet;\n    if (tape.end.position.epoch !== this.#after.epoch || !tape.covers(this.#after.offset)) return false;',
    replace:
      'const { tape } = viewerSet;\n    if (this.#after.offset >= this.#join.tail.offset) {\n      viewerSet.attach(this.#viewer);\n      return true;\n    }',
  },
  {
    name: 'an offset is compared by > where >= is meant',
    file: 'src/fanout/replay.ts',
    find: 'offset <= after ||',
    replace: 'offset <= after + 1 ||',
  },
  {
    name: 'an id is judged by its offset alone, its epoch ignored',
    file: 'src/log/position.ts',
    find: 'const left = from.epoch === tail.epoch ? tail.offset : tail.lineage.find((old) => old.epoch === from.epoch)?.last;',
    replace: 'const left: number | undefined = tail.offset;',
  },
  {
    name: 'a store that came back is not noticed: the run is not compared',
    file: 'src/log/memory/room.ts',
    find: 'if (record.run === run) return;',
    replace: 'if (record.run === run || record.run !== run) return;',
  },
  {
    name: 'an entry that has passed already is passed again',
    file: 'src/room/intake.ts',
    find: 'if (entry.offset <= this.position.offset) return true;',
    replace: '',
  },
  {
    name: 'the gate is asked about live entries only, and not about replayed ones',
    file: 'src/room/page.ts',
    find: 'frameFor(audience, entry, frame, own) ?? []);',
    replace: 'frame ?? []);',
  },
  {
    name: 'a room that was let go is never unfollowed',
    file: 'src/room/intake.ts',
    find: 'await this.#log.unfollow(this.#room);',
    replace: '',
  },
  {
    name: 'a returning viewer is told of the parts that are, and not of those that were removed',
    file: 'src/room/room-state.ts',
    find: 'const removed = parts.filter(([, part]) => part.value === null).map(([name]) => name);',
    replace: 'const removed: string[] = [];',
  },
  {
    name: 'a key is honoured whatever the body: the digest is not compared',
    file: 'src/log/memory/room.ts',
    find: 'return seen.digest === write.once?.digest ?',
    replace: 'return seen.digest !== undefined ?',
  },
  {
    name: 'entries that are gone are skipped without a word',
    file: 'src/room/room.ts',
    find: 'viewerSet.tape.addControl(gap);',
    replace: '',
  },
  {
    name: 'chat is left out for a slow viewer, and nobody says so',
    file: 'src/fanout/span.ts',
    find: 'if (missed > 0) {',
    replace: 'if (missed > 1_000) {',
  },
  {
    name: 'a gap for what was left out for a slow viewer is said behind what came after it',
    file: 'src/fanout/span.ts',
    find: 'if (!isOmitted) declare();\n',
    replace: '',
  },
  {
    name: 'an author is not shown its own words where they were left out for others',
    file: 'src/room/entry-frame.ts',
    find: 'return own !== null && mayHoldOwn(entry.audience, receiver) ? own : null;',
    replace: 'return null;',
  },
  {
    name: 'chat that was left out is declared to the crowd live, and not in what they read again',
    file: 'src/room/page.ts',
    find: 'const frame = frameOf(',
    replace: "if (entry.kind === 'gap') return { entry, frame: null, own: null };\n    const frame = frameOf(",
  },
  {
    name: 'a node goes on though its lease may have run out',
    file: 'src/room/intake.ts',
    find: "this.#mustRegister ||= this.#lease.state === 'over' && this.#sink.hasUsers();",
    replace: '',
  },
  {
    name: 'who has followed a history that is gone is told of the end of the new one, and not of where it began',
    file: 'src/log/position.ts',
    find: 'const parted = isUnknown ? tail.offset : (common ?? 0);',
    replace: 'const parted = isUnknown ? tail.offset : tail.offset + (common ?? 0) * 0;',
  },
  {
    name: 'a sum that was lost runs back without a word',
    isRare: true,
    file: 'src/room/room.ts',
    find: 'if (sum === null || !this.#sums.hasFallen(sum.counter, sum.total)) return;',
    replace:
      'if (sum === null || !this.#sums.hasFallen(sum.counter, sum.total)) return;\n    this.#sums.reset((counter) => this.#totalOf(counter));\n    if (sum !== null) return;',
  },
  {
    name: 'a log that takes older data over is noticed only by those whose connection broke',
    isRare: true,
    file: 'src/room/intake.ts',
    find: 'if (tail.epoch !== this.position.epoch || tail.offset > this.position.offset) this.#doubt();',
    replace: 'if (tail.epoch === this.position.epoch && tail.offset > this.position.offset) this.#doubt();',
  },
  {
    name: 'a ban ends the streams of those whom it does not bind, whose role is as high as that of who set it',
    file: 'src/room/bans.ts',
    find: 'user === id && !isAtLeast(role, by)',
    replace: 'user === id',
  },
  {
    name: 'on entering a ban is not judged by roles',
    file: 'src/log/memory/rules.ts',
    find: 'known.untilMs > now && !isAtLeast(role, known.role)',
    replace: 'known.untilMs > now',
  },
  {
    name: 'a ban of a higher role is lifted by a lower one',
    isRare: true,
    file: 'src/log/memory/rules.ts',
    find: 'rankOf(known.role) > rankOf(role)',
    replace: 'rankOf(known.role) > rankOf(role) + 1',
  },
  {
    name: 'the room is told whom the staff acted on',
    file: 'src/fanout/audience.ts',
    find: 'return isStaff(receiver) || receiver.id === audience.slice(besideStaff.length);',
    replace: 'return true;',
  },
  {
    name: 'who was acted on is not told',
    file: 'src/fanout/audience.ts',
    find: 'if (audience.startsWith(besideStaff)) return [audience.slice(besideStaff.length) as UserId];',
    replace: 'if (audience.startsWith(besideStaff)) return [];',
  },
  {
    name: 'a stream goes on as what its user was when it was opened, whatever the newest token says',
    file: 'src/room/visitor.ts',
    find: '  else if (grant === null || !isOlder(grant, identity)) visitor.outdated();\n',
    replace: '',
  },
  {
    name: 'a newer token of another role prolongs a stream as what it was: only the tags are compared',
    file: 'src/room/visitor.ts',
    find: 'one.role === other.role && ',
    replace: '',
  },
  {
    name: 'a token that was replaced while its stream was being opened is honoured all the same',
    isRare: true,
    file: 'src/stream/viewer.ts',
    find: 'if (socket === null) this.#endReserved ??= () => this.end(cause, details);\n',
    replace: '',
  },
  {
    name: 'a viewer is registered only once the log has answered, and a ban that comes before finds nobody',
    isRare: true,
    file: 'src/room/attendance.ts',
    find: '    if (id !== null) this.#note(id, visitor);\n    const call = this.#intake.leaseCall();\n    const entered = await this.#presence.enter(this.#room, id, role);\n',
    replace:
      '    const call = this.#intake.leaseCall();\n    const entered = await this.#presence.enter(this.#room, id, role);\n    if (id !== null) this.#note(id, visitor);\n',
  },
  {
    name: 'a ban that comes before the log has answered is forgotten',
    isRare: true,
    file: 'src/hub/join.ts',
    find: '    if (this.#ban !== null) this.banned(this.#ban);\n',
    replace: '',
  },
  {
    name: 'a ban that was lifted before its user came ends the stream where the node reads of it late',
    isRare: true,
    file: 'src/hub/join.ts',
    find: 'else if (ban === null || isSince(ban, this.tail)) ',
    replace: 'else ',
  },
  {
    name: 'what was taken back stays on the tape for those who come',
    file: 'src/room/retraction.ts',
    find: 'for (const { tape } of viewerSets) tape.retract(named);',
    replace: 'for (const { tape } of viewerSets) tape.seal();',
  },
  {
    name: 'what was taken back is read from the log as it was',
    file: 'src/log/memory/retract.ts',
    find: '  makeTombstone(record, entry, { epoch: record.epoch, offset: record.offset + 1 });\n',
    replace: '',
  },
];
