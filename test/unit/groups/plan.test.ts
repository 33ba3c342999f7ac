import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readGroups } from '../../../src/groups/groups-file.ts';
import type { RoomList, RoomLists } from '../../../src/groups/nodes.ts';
import { makePlan, type Plan, stepsOf, tooSlow } from '../../../src/groups/plan.ts';
import { placesOf } from '../../../src/groups/slots.ts';
import type { RoomId } from '../../../src/model.ts';

const admin = (name: string): string => `http://${name}:9080`;
const server = (name: string, more: object = {}) => ({
  name,
  address: `unix:/run/${name}.sock`,
  admin: admin(name),
  ...more,
});
const fileOf = (groups: Record<string, object[]>, more: object = {}) =>
  readGroups(
    JSON.stringify({
      groups: Object.fromEntries(Object.entries(groups).map(([name, servers]) => [name, { servers }])),
      ...more,
    }),
  );
const two = { blue: [server('blue-1'), server('blue-2')], green: [server('green-1'), server('green-2')] };
const roomList = (group: string, rooms: Record<string, number>, isDraining = false): RoomList => ({
  node: 'n',
  group,
  isDraining,
  misrouted: 0,
  rooms: Object.entries(rooms).map(([room, viewers]) => ({ room: room as RoomId, viewers })),
});
const empty = (): Map<string, RoomList> =>
  new Map(['blue-1', 'blue-2', 'green-1', 'green-2'].map((name) => [name, roomList(name.split('-')[0] ?? '', {})]));
const withRooms = (more: Record<string, RoomList>): RoomLists => new Map([...empty(), ...Object.entries(more)]);
const movesIn = ({ moves }: Plan) =>
  moves.map(({ server: from, room, share }) => [from, room, Number(share.toFixed(3))]);

/** A room whose slot this group has. */
function roomOf(group: string, file = fileOf(two)): RoomId {
  const places = placesOf(file);
  const room = Array.from({ length: 1000 }, (_, at) => `r${at}` as RoomId).find((one) => places.of(one)[0] === group);
  assert.ok(room);
  return room;
}

describe('a plan', () => {
  it('moves nobody when nothing changed', () => {
    const rooms = { [roomOf('blue')]: 100 };
    const plan = makePlan(fileOf(two), fileOf(two), withRooms({ 'blue-1': roomList('blue', rooms) }));
    assert.deepEqual([plan.slotsMoved, plan.viewers, plan.rooms], [0, 0, 0]);
  });

  it('moves the rooms whose slots go to a new group, and all of their viewers', () => {
    const three = fileOf({ ...two, red: [server('red-1')] });
    const [before, after] = [placesOf(fileOf(two)), placesOf(three)];
    const all = Array.from({ length: 100 }, (_, at) => `r${at}` as RoomId).filter(
      (room) => before.of(room)[0] === 'blue',
    );
    const moving = all.filter((room) => after.of(room)[0] === 'red');
    assert.ok(moving.length > 0 && moving.length < all.length);
    const blue = roomList('blue', Object.fromEntries(all.map((room) => [room, 10])));
    const plan = makePlan(fileOf(two), three, withRooms({ 'blue-1': blue, 'red-1': roomList('red', {}) }));
    assert.deepEqual(
      plan.moves.map(({ room }) => room),
      moving,
    );
    assert.equal(plan.viewers, moving.length * 10);
    assert.equal(plan.slotsMoved, 83);
  });

  it('moves from a room that becomes hot as many as belong elsewhere now', () => {
    const room = roomOf('blue');
    const hot = fileOf(two, { hotRooms: { [room]: ['blue', 'green'] } });
    const viewers = { 'blue-1': roomList('blue', { [room]: 60 }), 'blue-2': roomList('blue', { [room]: 40 }) };
    const plan = makePlan(fileOf(two), hot, withRooms(viewers));
    assert.deepEqual(movesIn(plan), [
      ['blue-1', room, 0.5],
      ['blue-2', room, 0.5],
    ]);
    assert.equal(plan.viewers, 50);
    const third = fileOf({ ...two, red: [server('red-1', { weight: 4 })] }, { hotRooms: { [room]: ['blue', 'red'] } });
    const spread = fileOf({ ...two, red: [server('red-1', { weight: 4 })] }, { hotRooms: { [room]: ['blue'] } });
    assert.deepEqual(movesIn(makePlan(spread, third, withRooms(viewers))), [
      ['blue-1', room, 0.667],
      ['blue-2', room, 0.667],
    ]);
  });

  it('moves everybody away from groups that no longer serve a room that cools', () => {
    const room = roomOf('blue');
    const hot = fileOf(two, { hotRooms: { [room]: ['blue', 'green'] } });
    const viewers = { 'blue-1': roomList('blue', { [room]: 60 }), 'green-2': roomList('green', { [room]: 40 }) };
    assert.deepEqual(movesIn(makePlan(hot, fileOf(two), withRooms(viewers))), [['green-2', room, 1]]);
  });

  it('moves misrouted home, though nothing changed: what was interrupted is finished', () => {
    const room = roomOf('blue');
    const viewers = { 'green-1': roomList('green', { [room]: 7 }) };
    assert.deepEqual(movesIn(makePlan(fileOf(two), fileOf(two), withRooms(viewers))), [['green-1', room, 1]]);
  });

  it('drains a server that is marked, and one that is taken out, once', () => {
    const room = roomOf('blue');
    const marked = fileOf({ ...two, blue: [server('blue-1', { drain: true }), server('blue-2')] });
    const viewers = roomList('blue', { [room]: 5, x: 6 });
    assert.deepEqual(makePlan(fileOf(two), marked, withRooms({ 'blue-1': viewers })).drains, [
      { server: 'blue-1', admin: admin('blue-1'), viewers: 11 },
    ]);
    const gone = fileOf({ ...two, blue: [server('blue-2')] });
    assert.equal(makePlan(fileOf(two), gone, withRooms({ 'blue-1': viewers })).drains[0]?.viewers, 11);
    const again = roomList('blue', { [room]: 5 }, true);
    assert.deepEqual(makePlan(marked, marked, withRooms({ 'blue-1': again })).drains, []);
  });

  it('says of whom it knows nothing', () => {
    const plan = makePlan(
      null,
      fileOf(two),
      new Map<string, RoomList | string>([...empty(), ['green-2', 'it does not answer']]),
    );
    assert.deepEqual(plan.unasked, [{ server: 'green-2', reason: 'it does not answer' }]);
  });
});

describe('the steps of a plan', () => {
  const planOf = (viewers: number, share = 1): Plan => {
    const room = 'a' as RoomId;
    const move = { server: 's', admin: 'http://s', room, viewers, share, to: ['blue'] };
    return {
      slotsMoved: 0,
      slots: [],
      moves: [move],
      drains: [],
      unasked: [],
      dark: [],
      abandoned: [],
      rooms: 1,
      viewers,
    };
  };

  it('take as much time as the pace asks for, and somewhat more for those who come meanwhile', () => {
    assert.deepEqual(
      stepsOf(planOf(1000), 200).map(({ overMs, moving }) => [overMs, moving]),
      [[5556, 1000]],
    );
  });

  it('are more than one where one call may not take so long, and move all together what was planned', () => {
    const steps = stepsOf(planOf(1000, 0.9), 1);
    assert.ok(steps.every(({ overMs }) => overMs <= 600_000));
    // Each share is of those who are left.
    let left = 1000;
    for (const { share } of steps) left -= left * share;
    assert.equal(Math.round(left), 100);
    assert.deepEqual(
      steps.map(({ moving }) => moving),
      [450, 450],
    );
  });

  it('refuse a pace at which a drain takes too long', () => {
    const drain = { server: 's', admin: 'http://s', viewers: 6001 };
    assert.match(tooSlow({ ...planOf(0), drains: [drain] }, 10).join(), /set --pace to at least 12/);
    assert.deepEqual(tooSlow({ ...planOf(0), drains: [drain] }, 12), []);
  });
});
