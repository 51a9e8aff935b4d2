import type { Client, ClientOptions } from 'cloakroom-sessions';
import type { AdminClient } from 'cloakroom-sessions/admin';
import { SessionData, Store } from 'express-session';

export interface Options extends ClientOptions {
  /** A client of its own, instead of `service`, `transport`, `app`, `deadline` and `credentials`. */
  client?: Client;
  /** Calls AdminService for `all`, `ids`, `length` and `clear`, which are errors without it. Its app is that of the store. */
  admin?: AdminClient;
  /** Called if a session had ended before it was saved. Nothing was written. Default: a warning of the process. */
  onGone?: (reason: string, session: SessionData) => void;
  /** Whether to send the user agent and address, for the list of a user's devices. Default: true. */
  sendContext?: boolean;
}

/** Sessions of express-session in an app of kind `external`. */
export class CloakroomStore extends Store {
  constructor(options?: Options);
  get(sid: string, callback: (error: any, session?: SessionData | null) => void): void;
  set(sid: string, session: SessionData, callback?: (error?: any) => void): void;
  destroy(sid: string, callback?: (error?: any) => void): void;
  touch(sid: string, session: SessionData, callback?: () => void): void;
  /** Returns all sessions, each with its public id. */
  all(callback: (error: any, sessions?: (SessionData & { id: string })[]) => void): void;
  /** Returns the public ids of all sessions. They open nothing. */
  ids(callback: (error: any, ids?: string[]) => void): void;
  length(callback: (error: any, length?: number) => void): void;
  /** Ends all sessions of the app: logs everybody out. */
  clear(callback?: (error?: any) => void): void;
}
