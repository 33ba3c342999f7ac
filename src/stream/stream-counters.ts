/** What the viewers of a process were given, as plain numbers: a write adds to a few of them, and nothing else. */

export class StreamCounters {
  /** Log entries, once per viewer that they were written to. Events without an id do not count. */
  deliveries = 0;
  /** Writes to sockets. */
  writes = 0;
  /** Bytes written to sockets, including response heads. */
  bytes = 0;
  /** Bytes saved by gzip; private pieces save none. */
  savedBytes = 0;
  /** Viewers under backpressure: paused until their socket drains. */
  waiting = 0;
}
