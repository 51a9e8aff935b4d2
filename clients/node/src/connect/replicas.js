// Chooses the replica of each call, and looks up the names among the addresses.
'use strict';

const dns = require('node:dns');
const { now, timeUntil } = require('../clock.js');
const { CallFailed, Untrusted } = require('../errors.js');
const { endpointKey, endpointOf, isName, parseAddresses } = require('./address.js');

/** @typedef {import('./address.js').Endpoint} Endpoint */

/** One endpoint, and whether it answers. @template Peer */
class Replica {
  /** Until then, calls go to other replicas if there are any. */
  avoidUntil = 0;
  /** Whether its certificate was not trusted when it was connected to last. */
  isUntrusted = false;
  #avoidTime = FIRST_AVOID_TIME;

  /** @param {Endpoint} endpoint @param {Peer} peer What the calls to it need. */
  constructor(endpoint, peer) {
    this.endpoint = endpoint;
    this.peer = peer;
  }

  answered() {
    this.avoidUntil = 0;
    this.isUntrusted = false;
    this.#avoidTime = FIRST_AVOID_TIME;
  }

  /** Prefers other replicas for a while. */
  didNotAnswer() {
    const time = now();
    // Calls that fail at the same time count as one.
    if (time < this.avoidUntil) return;
    this.avoidUntil = time + this.#avoidTime * (0.75 + 0.25 * Math.random());
    this.#avoidTime = Math.min(2 * this.#avoidTime, LAST_AVOID_TIME);
  }
}

/** All endpoints that an application's addresses stand for. @template Peer */
class Replicas {
  /** Empty as long as all addresses are names that were not looked up yet. @type {Replica<Peer>[]} */
  all = [];
  /** By method. Each takes turns by itself: otherwise a program that opens and saves by turns would send every open to
   * one of two replicas, and every save to the other. @type {Map<string, number>} */
  #turns = new Map();

  /**
   * @param {string} text The addresses, separated by commas.
   * @param {(endpoint: Endpoint) => Peer} makePeer Returns what the calls to an endpoint need.
   * @param {(peer: Peer) => void} closePeer Called for an endpoint that a name no longer has.
   */
  constructor(text, makePeer, closePeer) {
    this.addresses = parseAddresses(text);
    this.names = this.addresses.filter(isName).map((address) => new Name(address));
    this.makePeer = makePeer;
    this.closePeer = closePeer;
    this.#update();
  }

  /**
   * Returns the replica for a call, which is one that answers if there is one. One is always left untried.
   * @param {string} method @param {Replica<Peer>[]} tried
   */
  next(method, tried) {
    if (this.all.length === 1) return this.all[0];
    const untried = this.all.filter((replica) => !tried.includes(replica));
    const time = now();
    const answering = untried.filter(({ avoidUntil }) => avoidUntil <= time);
    const usable = answering.length > 0 ? answering : untried;
    const turn = this.#turns.get(method) ?? Math.floor(Math.random() * 1024);
    this.#turns.set(method, turn + 1);
    return usable[turn % usable.length];
  }

  /**
   * Prefers other replicas for a while, and has names looked up soon: their addresses may have changed.
   * @param {Replica<Peer>} replica
   */
  didNotAnswer(replica) {
    replica.didNotAnswer();
    for (const name of this.names) name.hasFailed = true;
  }

  /**
   * Notes that a replica cannot be reached, and returns the failure of a call that has no other one.
   * @param {Replica<Peer>} replica @param {string} message @param {boolean} isUntrusted
   */
  notConnected(replica, message, isUntrusted) {
    replica.isUntrusted = isUntrusted;
    this.didNotAnswer(replica);
    if (!isUntrusted) return new CallFailed('UNAVAILABLE', '', message);
    const { tlsName } = replica.endpoint;
    const advised = `${message}; set caFile to the authority of the service's certificate, which has to name ${tlsName}`;
    // Another replica may have a certificate that is trusted.
    const isLasting = this.all.every((each) => each.isUntrusted);
    return isLasting ? new Untrusted(advised) : new CallFailed('UNAVAILABLE', '', advised);
  }

  /**
   * Looks up the names that are due. Waits only while there is no address at all, and throws `CallFailed` if there is none
   * in time.
   * @param {number} end
   */
  async lookUp(end) {
    const due = this.names.filter((name) => this.all.length === 0 || name.isDue());
    /** @type {Map<Name, Error>} */
    const errors = new Map();
    // The addresses of the last look-up stay if this one fails.
    const lookUps = due.map((name) => this.#lookUpOne(name).catch((error) => { errors.set(name, error); throw error; }));
    const first = Promise.any(lookUps);
    first.catch(() => {});
    if (this.all.length > 0) return;
    try {
      await within(first, end);
    } catch {
      const texts = due.map((name) => `cannot look up "${name.address.host}": ${errors.get(name)?.message ?? 'no answer in time'}`);
      throw new CallFailed('UNAVAILABLE', '', texts.join('; '));
    }
  }

  /** @param {Name} name @returns {Promise<void>} */
  #lookUpOne(name) {
    name.running ??= new Promise((resolve, reject) => {
      name.attemptTime = now();
      dns.lookup(name.address.host, { all: true }, (error, found) => {
        name.running = undefined;
        if (error) {
          reject(error);
          return;
        }
        name.ips = found.map(({ address }) => address);
        name.hasFailed = false;
        this.#update();
        resolve();
      });
    });
    return name.running;
  }

  /** Replicas that still exist keep their connections. */
  #update() {
    const ips = new Map(this.names.map((name) => [name.address, name.ips]));
    /** @type {Map<string, Endpoint>} */
    const wanted = new Map();
    for (const address of this.addresses) {
      for (const ip of ips.get(address) ?? [address.host]) {
        const endpoint = endpointOf(address, ip);
        wanted.set(endpointKey(endpoint), endpoint);
      }
    }
    const known = new Map(this.all.map((replica) => [endpointKey(replica.endpoint), replica]));
    this.all = [...wanted].map(([key, endpoint]) => known.get(key) ?? new Replica(endpoint, this.makePeer(endpoint)));
    for (const [key, { peer }] of known) if (!wanted.has(key)) this.closePeer(peer);
  }
}

/** A name among the addresses. */
class Name {
  /** @type {string[]} */
  ips = [];
  /** Of the last look-up. */
  attemptTime = 0;
  hasFailed = false;
  /** The look-up that is under way. @type {Promise<void> | undefined} */
  running;

  /** @param {import('./address.js').Address} address */
  constructor(address) {
    this.address = address;
  }

  /** Whether to look it up again: now and then, and sooner if a call or the look-up has failed. */
  isDue() {
    const isSoon = this.hasFailed || this.ips.length === 0;
    return now() - this.attemptTime >= (isSoon ? LOOKUP_AFTER_FAILURE : LOOKUP_INTERVAL);
  }
}

/** @param {Promise<void>} running @param {number} end */
function within(running, end) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer in time')), timeUntil(end));
    running.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Milliseconds for which a replica is avoided after it has not answered. The time doubles until it answers. */
const FIRST_AVOID_TIME = 1000;
const LAST_AVOID_TIME = 30_000;
/** Milliseconds between two look-ups of a name. */
const LOOKUP_INTERVAL = 30_000;
const LOOKUP_AFTER_FAILURE = 1000;

module.exports = { Replica, Replicas };
