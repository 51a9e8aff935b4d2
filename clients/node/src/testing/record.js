// A session in memory, or what stays of one that has ended: its tombstone. Times are in milliseconds.
'use strict';

/** JSON text or bytes. @typedef {{ json?: string, raw?: Buffer }} Value */
/** Identifies a call that has a request_id. @typedef {{ requestId: string, content: string }} Fingerprint */
/** The last replacement of a session's token. @typedef {{ replaced: string, next: string, time: number, by: Fingerprint }} Rotation */
/**
 * The conditions on which a call writes. Without a verifier it is an administrator's. `mayOnlyEnd`: the token that was
 * replaced last is enough, as it is to end the session.
 * @typedef {{ verifier?: string, mayOnlyEnd?: boolean, etag?: number, by?: Fingerprint, now: number }} Precondition
 */
/**
 * Whether a call may write, and if not, why: with `gone` the reason, and with `replayed` the effect of the call that was
 * the same.
 * @typedef {{ verdict: 'allowed' | 'replayed' | 'gone' | 'missing' | 'otherEtag' | 'reused', reason?: string, effect?: string }} Judgement
 */

/** @type {Judgement} */
const ALLOWED = { verdict: 'allowed' };
/** @type {Fingerprint} */
const NO_FINGERPRINT = { requestId: '', content: '' };

class Record {
  /** @type {Map<string, Value>} */
  entries = new Map();
  version = 0;
  subject = '';
  /** @type {boolean | undefined} */
  permanent;
  /** @type {number | undefined} */
  authenticated;
  /** @type {Rotation | undefined} */
  rotation;
  /** @type {{ fingerprint: Fingerprint, time: number, effect: string }[]} */
  calls = [];
  generation = 0;
  userAgent = '';
  remoteAddress = '';
  /** When and why a call has ended the session. @type {{ time: number, reason: string } | undefined} */
  end;

  /** @param {string} verifier @param {import('./app.js').Timeouts} timeouts @param {number} now */
  constructor(verifier, { idle, absolute }, now) {
    this.verifier = verifier;
    this.created = this.used = now;
    this.idleTimeout = idle;
    this.deadline = now + absolute;
  }

  /** @returns {Record} */
  clone() {
    const copy = Object.assign(Object.create(Record.prototype), this);
    copy.entries = new Map(this.entries);
    copy.calls = [...this.calls];
    return copy;
  }

  entryBytes() {
    return [...this.entries].reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + sizeOf(value), 0);
  }

  /** @param {{ userAgent: string, remoteAddress: string } | undefined} context */
  setContext(context) {
    if (context === undefined) return;
    this.userAgent = cut(context.userAgent, 256);
    this.remoteAddress = cut(context.remoteAddress, 64);
  }

  /** Returns when the session expires if it is last used at a time. @param {number} [used] */
  expires(used = 0) {
    return Math.min(Math.max(used, this.used) + this.idleTimeout, this.deadline);
  }

  /** @param {number} now */
  isForgotten(now) {
    return now >= (this.end?.time ?? this.expires()) + TOMBSTONE_TTL;
  }

  /** @param {Fingerprint} fingerprint @param {number} time @param {string} effect */
  remember(fingerprint, time, effect) {
    if (fingerprint.requestId !== '') this.calls = [...this.calls, { fingerprint, time, effect }].slice(-MAX_CALLS);
  }

  /** Returns what stays after a call has ended the session.
   * @param {string} reason @param {Fingerprint} by @param {number} now */
  tombstone(reason, by, now) {
    const left = this.clone();
    Object.assign(left, {
      end: { time: now, reason }, subject: '', permanent: undefined, authenticated: undefined, entries: new Map(), userAgent: '',
      remoteAddress: '',
    });
    left.remember(by, now, 'DELETED');
    return left;
  }

  /** Returns the last rotation, if it replaced the token with this verifier and is still known.
   * @param {string} verifier @param {number} now */
  replacedBy(verifier, now) {
    const { rotation } = this;
    return rotation?.replaced === verifier && now < rotation.time + IDEMPOTENCY_TTL ? rotation : undefined;
  }

  /** Returns when the token ceased to open the session by a call; 0: it opens it, or only time has ended it.
   * @param {string} verifier */
  endTime(verifier) {
    const ended = this.end?.time ?? Infinity;
    if (verifier === this.verifier) return this.end?.time ?? 0;
    return Math.min(ended, this.rotation?.time ?? this.created);
  }

  /** Returns the last call with this request_id, if it is still known. @param {string} requestId @param {number} now */
  findCall(requestId, now) {
    return this.calls.findLast(({ fingerprint, time }) =>
      requestId !== '' && fingerprint.requestId === requestId && now < time + IDEMPOTENCY_TTL);
  }

  /** @param {number} generation @param {Precondition} on @returns {Judgement} */
  judge(generation, { verifier, mayOnlyEnd = false, etag, by = NO_FINGERPRINT, now }) {
    const same = this.findCall(by.requestId, now);
    if (same !== undefined) {
      return same.fingerprint.content === by.content ? { verdict: 'replayed', effect: same.effect } : { verdict: 'reused' };
    }
    const reason = this.whyEnded(generation, now);
    if (reason !== undefined) return { verdict: 'gone', reason };
    const isOther = verifier !== undefined && verifier !== this.verifier;
    if (isOther && !(mayOnlyEnd && this.replacedBy(verifier, now))) return { verdict: 'gone', reason: 'SUPERSEDED' };
    return etag !== undefined && etag !== this.version ? { verdict: 'otherEtag' } : ALLOWED;
  }

  /** @param {number} generation @param {number} now */
  whyEnded(generation, now) {
    if (this.end !== undefined) return this.end.reason;
    if (this.generation < generation) return 'REVOKED';
    if (now >= this.deadline) return 'ABSOLUTE';
    return now >= this.used + this.idleTimeout ? 'IDLE' : undefined;
  }
}

/** Raw bytes are stored after a byte that says so. @param {Value} value */
const sizeOf = ({ json, raw }) => (json === undefined ? (raw?.length ?? 0) + 1 : Buffer.byteLength(json));

/** Cuts a text between characters, to at most so many bytes. @param {string} text @param {number} limit */
function cut(text, limit) {
  const bytes = Buffer.from(text);
  let end = Math.min(limit, bytes.length);
  while (end < bytes.length && (bytes[end] & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

// Milliseconds.
const TOMBSTONE_TTL = 16 * 60_000;
/** A session remembers calls, and the token that the last rotation replaced, for this long. */
const IDEMPOTENCY_TTL = 10 * 60_000;
const MAX_CALLS = 16;

module.exports = { NO_FINGERPRINT, Record };
