/** What the viewers of a process were given, as plain numbers: with each write a few are added to, and nothing else. */

export class StreamCounters {
  /** Entries of logs, one for each viewer that they were written to. What has no id does not count. */
  deliveries = 0;
  /** Writes to sockets. */
  writes = 0;
  /** Bytes written to sockets, the heads of streams among them. */
  bytes = 0;
  /** Bytes that gzip made of fewer; what is stored for one viewer alone saves none. */
  savedBytes = 0;
  /** Viewers that are given nothing just now, as bytes wait for them. */
  waiting = 0;
}
