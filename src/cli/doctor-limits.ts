/** The checks of `wsguard doctor` for limits of the kernel and of the process. docs/deployment.md explains each. */
import { readFileSync } from 'node:fs';
import { formatCount, formatDuration } from '../core/format.ts';
import { check, type Check } from './doctor-report.ts';

export interface KernelLimits {
  /** Soft limit of open files; null when it is unlimited or unknown. */
  readonly descriptors: number | null;
  /** `net.core.somaxconn`; null when it cannot be read. */
  readonly backlog: number | null;
  /** `net.ipv4.tcp_keepalive_time`; null when it cannot be read. */
  readonly keepaliveSeconds: number | null;
}

/** Descriptors that a server needs besides its connections: files, pipes, pools of databases. */
const OTHER_DESCRIPTORS = 256;
/** Room for a reconnect, during which old and new connections are open together. */
const RECONNECT_FACTOR = 2;
/** Without a number of connections: twice the default limit of 1,024 is still a small server. */
const MIN_DESCRIPTORS = 4_096;
/** The default since Linux 5.4. Before it was 128. */
const MIN_BACKLOG = 4_096;
/** The mission's value: a vanished peer is found in minutes instead of two hours. */
const MAX_KEEPALIVE_SECONDS = 300;

/** The limits of process `pid`, or of `self`. */
export const readKernelLimits = (pid: number | 'self'): KernelLimits => ({
  descriptors: numberIn(`/proc/${pid}/limits`, /^Max open files\s+(\d+)/m),
  backlog: numberIn('/proc/sys/net/core/somaxconn', /^(\d+)/),
  keepaliveSeconds: numberIn('/proc/sys/net/ipv4/tcp_keepalive_time', /^(\d+)/),
});

/** `connections` is the number of open sockets of the process; null when there is no process to count. */
export const checkKernelLimits = (limits: KernelLimits, connections: number | null): Check[] => [
  checkDescriptorLimit(limits, connections),
  checkBacklog(limits),
  checkKeepalive(limits),
];

function checkDescriptorLimit({ descriptors }: KernelLimits, connections: number | null): Check {
  const title = 'descriptor limit';
  if (descriptors === null) return check(title, 'yes', 'none, or unknown on this system');
  const room = Math.max(0, Math.floor((descriptors - OTHER_DESCRIPTORS) / RECONNECT_FACTOR));
  const text = `${formatCount(descriptors)}: enough for about ${formatCount(room)} connections that reconnect at once`;
  const isLow = connections === null ? descriptors < MIN_DESCRIPTORS : connections > room;
  const seen = connections === null ? '' : `, ${formatCount(connections)} sockets are open`;
  return isLow
    ? check(title, 'partly', `${text}${seen}; raise it with ulimit -n, or LimitNOFILE of systemd`)
    : check(title, 'yes', text);
}

function checkBacklog({ backlog }: KernelLimits): Check {
  const title = 'listen backlog';
  if (backlog === null) return check(title, 'unknown', 'net.core.somaxconn cannot be read');
  const node = 'Node asks for 511 unless listen() gets a backlog';
  return backlog < MIN_BACKLOG
    ? check(
        title,
        'partly',
        `net.core.somaxconn is ${formatCount(backlog)}; set it to ${formatCount(MIN_BACKLOG)} for reconnects of many clients. ${node}`,
      )
    : check(title, 'yes', `net.core.somaxconn is ${formatCount(backlog)}. ${node}`);
}

function checkKeepalive({ keepaliveSeconds }: KernelLimits): Check {
  const title = 'TCP keepalive';
  if (keepaliveSeconds === null) return check(title, 'unknown', 'tcp_keepalive_time cannot be read');
  const after = formatDuration(keepaliveSeconds * 1_000);
  return keepaliveSeconds > MAX_KEEPALIVE_SECONDS
    ? check(
        title,
        'partly',
        `starts after ${after}, and only on sockets with setKeepAlive(true); a heartbeat finds a vanished peer in a minute`,
      )
    : check(title, 'yes', `starts after ${after} on sockets with setKeepAlive(true)`);
}

function numberIn(file: string, pattern: RegExp): number | null {
  try {
    const digits = pattern.exec(readFileSync(file, 'utf8'))?.[1];
    return digits === undefined ? null : Number(digits);
  } catch {
    return null;
  }
}
