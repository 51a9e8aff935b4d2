/** What the calls of a client are authenticated by. The files are read again when they have changed. */
export interface Credentials {
  /** The caller token, which is sent with every call. */
  token?: string;
  /** The certificates, in PEM, that may have signed the service's. Without it: those that Node trusts. */
  caFile?: string;
  /** The client's certificate, with its chain, in PEM. */
  certificateFile?: string;
  /** The key of that certificate, in PEM. */
  keyFile?: string;
}

/** Makes one attempt of a call. It rejects with `CallFailed` and nothing else. */
export interface Transport {
  call(method: Method, request: Record<string, any>, timeout: number): Promise<any>;
  /** Begins a call that is answered by a stream, and returns its first message. Only watches need it. */
  stream?(method: Method, request: Record<string, any>, timeout: number): Promise<{ first: any; stream: ResponseStream }>;
}

/** The messages of one call. */
export interface ResponseStream {
  /** Returns the next message, or undefined at the end. `end` is a time of `performance.now()`. */
  next(end?: number): Promise<any>;
  close(): void;
}

/** An RPC of the service. The messages are objects with the fields of the proto in lowerCamelCase. */
export interface Method {
  readonly name: string;
  readonly path: string;
  readonly request: { encode(values: Record<string, any>): Buffer };
  readonly response: { decode(bytes: Buffer): any };
}

/** Makes calls by the Connect protocol over HTTP/2, or over HTTP/1.1 where a proxy speaks nothing else. */
export class ConnectTransport implements Transport {
  /**
   * @param address Such as `localhost:50051`, `https://cloakroom:50051` with TLS, or `unix:/path`. Several addresses are
   *   separated by commas. A name stands for all addresses that it has.
   */
  constructor(address: string, credentials?: Credentials);
  call(method: Method, request: Record<string, any>, timeout: number): Promise<any>;
  stream(method: Method, request: Record<string, any>, timeout: number): Promise<{ first: any; stream: ResponseStream }>;
  /** Closes all connections, those in use after their calls. The next call connects again. */
  close(): void;
}

export interface ClientOptions {
  /** The service's address, or a transport. Default: `localhost:50051`. */
  service?: string | Transport;
  /** The protocol: Connect, or gRPC, which needs the package `@grpc/grpc-js`. Default: `connect`. */
  transport?: 'connect' | 'grpc';
  /** The app's name in the service's configuration. Default: `default`. */
  app?: string;
  /** Milliseconds that one call may take, its retries included. Default: 2000. */
  deadline?: number;
  /** What the calls are authenticated by. A transport has its own. */
  credentials?: Credentials;
}

/** Calls one service for the sessions of one app. */
export class Client {
  constructor(options?: ClientOptions);
  readonly app: string;
  readonly deadline: number;
}

/** A response header. Append it; do not replace others of the same name. */
export interface Header {
  name: string;
  value: string;
}

/** What a session needs to know of its request. */
export interface RequestInfo {
  /** The whole Cookie header, its bytes decoded as Latin-1. Several header lines are joined by "; ". */
  cookieHeader?: string;
  /** The cookie's name, if it differs from the one in the app's policy. */
  cookieName?: string;
  /** The cookie's attributes that differ from those in the app's policy; the same for the whole request. */
  cookieAttributes?: { domain?: string; path?: string; secure?: boolean; samesite?: string };
  /** Returns where the request comes from. Called only if there is a call to make. */
  context?: () => { userAgent?: string; remoteAddress?: string };
  /** Milliseconds for which an authentication counts as recent. */
  maxAuthenticateAge?: number;
  /** Whether to store a session without content. */
  keepEmpty?: boolean;
  /** When the request was received, by `performance.now()`. By default when the session object is made. */
  receiveTime?: number;
}

/** Learns within half a second that a session has ended, or that its token was replaced. An outage does not end it. */
export interface SessionWatch {
  /**
   * Why the session has ended, such as `DESTROYED`, `REVOKED` or `SUPERSEDED`; `UNKNOWN` if the service does not know it.
   * Undefined after `close`.
   */
  readonly ended: Promise<string | undefined>;
  /** When the session ends if it is not used, as of the begin of the watch. */
  readonly expireTime: Date | undefined;
  close(): void;
}

/** A request's session, for frameworks that this package does not know. */
export class Session {
  constructor(client: Client, requestInfo?: RequestInfo);
  /** Whether entries can be read. */
  readonly isOpen: boolean;
  /** Whether the session is not stored yet. */
  readonly isNew: boolean;
  /** Whether no session is possible, because the request has the cookies of two of them, or the app has no key. */
  readonly isNull: boolean;
  /** The public id, which is safe to log. Undefined before the session was opened or saved. */
  readonly id: string | undefined;
  readonly expireTime: Date | undefined;
  readonly authenticateTime: Date | undefined;
  readonly recentlyAuthenticated: boolean;
  /** Why the session had ended before it was saved, such as `SUPERSEDED`. */
  readonly gone: string | undefined;
  /** Whether the request has used its session. */
  accessed: boolean;
  /** The user, set by a text or an integer. Setting it is a login: the same save replaces the token. */
  get subject(): string | undefined;
  set subject(value: string | number | bigint | null | undefined);
  /** Whether the cookie outlives the browser. */
  permanent: boolean;
  /** Milliseconds that the session lives without use. */
  get idleTimeout(): number | undefined;
  set idleTimeout(value: number);
  get(name: string): any;
  has(name: string): boolean;
  names(): string[];
  set(name: string, value: unknown): void;
  delete(name: string): void;
  clear(): void;
  increment(name: string, by?: number): void;
  rotate(): void;
  markAuthenticated(): void;
  hasUnsavedChanges(): boolean;
  open(): Promise<void>;
  save(): Promise<void>;
  destroy(): Promise<void>;
  /** Saves the changes and returns the headers of the response. */
  finish(): Promise<Header[]>;
  /** Watches the session for as long as a websocket or a stream of events is open. It is no use of the session. */
  watch(): Promise<SessionWatch>;
}

/** A call failed. */
export class CloakroomError extends Error {
  constructor(message: string, code: string, reason: string);
  /** Such as `UNAVAILABLE`. */
  readonly code: string;
  /** Such as `STORE_UNAVAILABLE`. Empty if the service did not answer. */
  readonly reason: string;
  /** The HTTP status, as Express reads it. */
  readonly status: number;
}

/** The service did not answer in time, or cannot. A later request may succeed. */
export class SessionUnavailable extends CloakroomError {
  readonly headers: { 'Retry-After': string };
}

/** The service refused the call. Nothing was written. */
export class SessionRefused extends CloakroomError {}

/** An entry was read before the session was opened. */
export class SessionNotOpened extends CloakroomError {}

/** One attempt of a call failed. */
export class CallFailed extends Error {
  constructor(code: string, reason: string, message: string);
  readonly code: string;
  readonly reason: string;
}
