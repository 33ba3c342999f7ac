/**
 * Checks that the groups file, the rendering, the running nginx and the gateways agree, and that the public way passes on
 * every byte at once. Changes nothing.
 */

import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { type Groups, GroupsRefusal } from './groups-file.ts';
import { askRunning, localUrl, type Words } from './nginx.ts';
import { serversOf, takeRoomLists } from './nodes.ts';
import { render } from './render.ts';
import { staleFiles, testConfiguration } from './rendered.ts';

export interface Finding {
  readonly what: 'rendered' | 'nginx' | 'running' | 'server' | 'stream';
  /** Null: unknown. */
  readonly isFine: boolean | null;
  readonly sentence: string;
}

export interface CheckOptions {
  readonly groups: Groups;
  readonly folder: string;
  readonly nginx: Words;
  /** The room whose stream is opened. */
  readonly room: string;
  readonly token: string | null;
}

export async function check({ groups, folder, nginx, room, token }: CheckOptions): Promise<readonly Finding[]> {
  const rendering = render(groups);
  const stale = await staleFiles(folder, rendering);
  const running = await askRunning(groups.listen);
  const url = groups.publicUrl ?? localUrl(groups.listen[0] ?? '');
  return [
    stale.length === 0
      ? fine('rendered', `${folder} matches the file`)
      : wrong('rendered', `${stale.join(' and ')} in ${folder} does not match the file; render it`),
    await tested(nginx),
    runs(running?.digest ?? null, rendering.digest, groups),
    ...(await serversFound(groups)),
    await streamFound(`${url}/rooms/${room}/stream`, token),
  ];
}

const fine = (what: Finding['what'], sentence: string): Finding => ({ what, isFine: true, sentence });
const wrong = (what: Finding['what'], sentence: string): Finding => ({ what, isFine: false, sentence });
const unknown = (what: Finding['what'], sentence: string): Finding => ({ what, isFine: null, sentence });

async function tested(nginx: Words): Promise<Finding> {
  try {
    await testConfiguration(nginx);
    return fine('nginx', 'nginx accepts the configuration');
  } catch (error) {
    if (!(error instanceof GroupsRefusal)) throw error;
    return wrong('nginx', error.message);
  }
}

function runs(digest: string | null, rendered: string, { listen }: Groups): Finding {
  if (digest === null) return wrong('running', `no nginx with rendered groups answers at ${listen.join(' or ')}`);
  if (digest === rendered) return fine('running', 'nginx runs the file');
  return wrong('running', `nginx runs ${digest}, the file is ${rendered}; apply it`);
}

/** Each gateway must have the name and the group of the file. */
async function serversFound(groups: Groups): Promise<readonly Finding[]> {
  const roomLists = await takeRoomLists(serversOf(null, groups));
  return groups.groups.flatMap((group) =>
    group.servers.map(({ name, admin, isDrained }) => {
      const roomList = roomLists.get(name) ?? 'not asked';
      if (typeof roomList === 'string') {
        const isExpected = admin === null || isDrained;
        return isExpected ? unknown('server', `${name}: ${roomList}`) : wrong('server', `${name}: ${roomList}`);
      }
      if (roomList.node === name && roomList.group === group.name)
        return fine(
          'server',
          `${name} answers: ${roomList.rooms.length} rooms, ${roomList.misrouted} misrouted requests`,
        );
      return wrong(
        'server',
        `${name} of ${group.name} calls itself ${roomList.node} of ${roomList.group}; set NODE_ID and GROUP as in the file`,
      );
    }),
  );
}

/** How long a stream may take to send its first bytes. */
const firstBytesMs = 5000;
/** How long it must stay open after that. A soft refusal ends at once. */
const staysOpenMs = 500;

/** Opens a stream as the public does: it must send bytes at once, and stay open. */
async function streamFound(url: string, token: string | null): Promise<Finding> {
  const { status, type, text, isOpen, error } = await openStream(url, token);
  if (error !== null) return wrong('stream', `${url}: ${error}`);
  if ((status === 401 || status === 403) && token === null)
    return unknown('stream', `${url} requires a token; pass one with --token-file`);
  if (status !== 200 || !/^text\/event-stream/.test(type)) return wrong('stream', `${url} answers ${status} ${type}`);
  if (text === '')
    return wrong('stream', `${url} sends nothing for ${firstBytesMs} ms; a proxy on the way buffers the stream`);
  if (!isOpen) return wrong('stream', `${url} refuses the stream and ends: ${JSON.stringify(text.slice(0, 200))}`);
  return fine('stream', `${url} delivers its first bytes at once and stays open`);
}

interface Opened {
  status: number;
  type: string;
  text: string;
  isOpen: boolean;
  error: string | null;
}

function openStream(url: string, token: string | null): Promise<Opened> {
  return new Promise((resolve) => {
    const opened: Opened = { status: 0, type: '', text: '', isOpen: true, error: null };
    const headers = { accept: 'text/event-stream', ...(token === null ? {} : { authorization: `Bearer ${token}` }) };
    const asked = (url.startsWith('https:') ? requestHttps : requestHttp)(url, { agent: false, headers });
    let timer = setTimeout(() => done(), firstBytesMs);
    const done = (): void => {
      clearTimeout(timer);
      resolve(opened);
      asked.destroy();
    };
    asked.on('error', (error) => {
      opened.error = opened.status === 0 ? error.message : opened.error;
      done();
    });
    asked.on('response', (answer) => {
      opened.status = answer.statusCode ?? 0;
      opened.type = answer.headers['content-type'] ?? '';
      answer.on('data', (bytes: Buffer) => {
        if (opened.text === '') {
          clearTimeout(timer);
          timer = setTimeout(done, staysOpenMs);
        }
        if (opened.text.length < 4096) opened.text += bytes.toString('utf8');
      });
      answer.on('end', () => {
        opened.isOpen = false;
        done();
      });
    });
    asked.end();
  });
}
