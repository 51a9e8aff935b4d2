import type { Client, ClientOptions } from 'cloakroom-sessions';
import { SessionData, Store } from 'express-session';

export interface Options extends ClientOptions {
  /** A client of its own, instead of `service`, `app`, `deadline` and `credentials`. */
  client?: Client;
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
}
