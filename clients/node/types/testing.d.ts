import type { Method, ResponseStream, Transport } from './index';

/**
 * The settings of an app of kind `stored`, with the defaults of the service's configuration. Names such as `cookiePath`
 * stand for `path` in the table `cookie`. Times are in milliseconds.
 */
export interface App {
  /** Default: `default`. */
  name?: string;
  /** Default: `session`. */
  cookieName?: string;
  cookieDomain?: string;
  cookiePath?: string;
  cookieHttponly?: boolean;
  cookieSecure?: boolean;
  cookieSamesite?: 'Strict' | 'Lax' | 'None' | '';
  cookiePartitioned?: boolean;
  refreshEachRequest?: boolean;
  /** Default: 31 days. */
  idleTimeout?: number;
  /** Default: 365 days. */
  absoluteTimeout?: number;
  anonymousIdleTimeout?: number;
  anonymousAbsoluteTimeout?: number;
  /** The name of the entry whose value is the subject. */
  subjectKey?: string;
  /** Default: 1000. 0: no limit. */
  maxSessionsPerSubject?: number;
  onSessionLimit?: 'evict' | 'refuse';
  maxEntries?: number;
  maxSessionBytes?: number;
}

/** Answers calls in this process, by the rules of the service. Clients of several apps may share it, as a service. */
export class MemoryTransport implements Transport {
  /** @param apps The apps that exist. Without any, an app of each name exists, with the default settings. */
  constructor(...apps: App[]);
  /** Whether calls are answered. If not, each fails at once, as after a whole deadline without an answer. */
  isAvailable: boolean;
  /** Moves the time of the sessions forward. It is that of `Date.now` otherwise. */
  advance(milliseconds: number): void;
  call(method: Method, request: Record<string, any>): Promise<any>;
  stream(method: Method, request: Record<string, any>): Promise<{ first: any; stream: ResponseStream }>;
}
