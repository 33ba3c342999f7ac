/** What processes cost, as the kernel counts it: CPU time with the kernel's share, and resident memory. Linux only. */

import { readdirSync, readFileSync } from 'node:fs';

/** Of /proc: 100 a second on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Fields of /proc/PID/stat from the third one on; the second may hold spaces. */
function statOf(pid: number): readonly string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** Seconds of CPU that the processes have used, all threads, their ended children included. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = statOf(pid);
    for (const field of [11, 12, 13, 14]) ticks += Number(fields[field] ?? 0);
  }
  return ticks / ticksPerSecond;
}

/** Bytes that the processes hold in memory now. */
export function residentBytes(pids: readonly number[]): number {
  let kibibytes = 0;
  for (const pid of pids) {
    const found = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    kibibytes += Number(found?.[1] ?? 0);
  }
  return kibibytes * 1024;
}

/** Processes that a process has started and that still run. */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return Number(statOf(pid)[1]) === parent;
      } catch {
        // It has ended since the folder was read.
        return false;
      }
    });
}

/** Seconds of CPU that the whole machine has used, all cores: what else ran beside a benchmark is the difference. */
export function machineSeconds(): number {
  const line = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / ticksPerSecond;
}
