// The service, and the service in memory: makes the same calls to both and compares what they answer.
import assert from 'node:assert/strict';
import client from 'cloakroom-sessions';
import { MemoryTransport } from 'cloakroom-sessions/testing';

const { CallFailed, ConnectTransport } = client;
const TOKEN = /(?:testing-)?([vt]1[sk]?)\.(?:[\w-]+\.){0,2}([\w-]{43})\.[\w-]{43}/g;
const RANDOM_FIELDS = ['id', 'token', 'nextPageToken'];
// Milliseconds by which the two may differ in a time. What the calls choose differs by an hour and more.
const TOLERANCE = 60_000;

// What the random texts of both sides stand for. Each is known by its number.
class Symbols {
  pairs = [];
  #numbers = [new Map(), new Map()];

  // Notes that two texts stand for the same, and fails if one of them is known as something else.
  add(texts) {
    const keys = texts.map(keyOf);
    const [one, other] = keys.map((key, side) => this.#numbers[side].get(key));
    assert.equal(one, other, `${texts} stand for different things`);
    const number = one ?? this.pairs.length;
    keys.forEach((key, side) => this.#numbers[side].set(key, number));
    // A ticket is signed anew each time.
    this.pairs[number] = texts;
  }

  number(text, side) {
    return this.#numbers[side].get(keyOf(text));
  }
}

// The random part of a token, which is the same in each text of it.
function keyOf(text) {
  const [found] = text.matchAll(TOKEN);
  return found ? `${found[1]} ${found[2]}` : text;
}

export class Pair {
  symbols = new Symbols();

  constructor(service, apps) {
    const memory = new MemoryTransport(...apps);
    this.transports = {
      SessionService: [new ConnectTransport(service.address), memory],
      AdminService: [new ConnectTransport(`127.0.0.1:${service.adminPort}`), memory],
    };
  }

  close() {
    for (const [transport] of Object.values(this.transports)) transport.close();
  }

  // Makes a call to both. Returns what both answered: an outcome, an error, or nothing in particular.
  async call(method, makeRequest) {
    const transports = this.transports[method.path.includes('AdminService') ? 'AdminService' : 'SessionService'];
    const answers = [];
    for (const [side, transport] of transports.entries()) answers.push(await answerOf(transport, method, makeRequest(side)));
    const [one, other] = answers;
    const where = JSON.stringify([method.name, makeRequest(0)], textOf);
    if (typeof one === 'string' || typeof other === 'string') {
      assert.deepEqual(other, one, where);
      return one;
    }
    if (method.name !== 'ListSessions') this.#learn(answers, where);
    const times = [[], []];
    // The sessions of a subject come in the order of their use, and those of an app in none.
    if (method.name === 'ListSessions' && !makeRequest(0).subject) answers.forEach((answer, side) => this.#sort(answer.sessions, side));
    const [right, found] = answers.map((answer, side) => this.#normalized(answer, '', side, times[side]));
    assert.deepEqual(found, right, where);
    times[0].forEach((time, i) => assert.ok(Math.abs(time - times[1][i]) < TOLERANCE, `times differ: ${where}`));
    return one.outcome ?? '';
  }

  // Notes what the random texts of two responses stand for.
  #learn(answers, where) {
    const [one, other] = answers.map((answer) => [...randomTexts(answer, '')]);
    assert.equal(one.length, other.length, where);
    one.forEach((text, i) => this.symbols.add([text, other[i]]));
  }

  // Replaces random texts by their numbers, and takes times out.
  #normalized(value, field, side, times) {
    if (typeof value === 'string') return this.#normalizedText(value, field, side, times);
    if (typeof value === 'number' && field.endsWith('Time')) {
      times.push(value);
      return 'time';
    }
    if (value instanceof Map) return new Map([...value].sort(([a], [b]) => (a < b ? -1 : 1)));
    if (Array.isArray(value)) return value.map((each) => this.#normalized(each, '', side, times));
    if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, this.#normalized(each, name, side, times)]));
  }

  #normalizedText(text, field, side, times) {
    if (RANDOM_FIELDS.includes(field)) return text && this.symbols.number(text, side);
    return text.replace(TOKEN, (found) => `#${this.symbols.number(found, side)}`).replace(/Expires=([^;]+)/, (found, date) => {
      times.push(Date.parse(date));
      return 'Expires';
    });
  }

  #sort(sessions, side) {
    sessions.sort((a, b) => this.symbols.number(a.id, side) - this.symbols.number(b.id, side));
  }
}

// Returns the response, the first message of a stream, or the error as a text.
async function answerOf(transport, method, request) {
  try {
    if (method.name !== 'WatchSession') return await transport.call(method, request, 60_000);
    const { first, stream } = await transport.stream(method, request, 60_000);
    stream.close();
    return first;
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    return `${error.code} ${error.reason}`;
  }
}

// Yields the random texts of a response, in an order that is the same for both sides.
function* randomTexts(value, field) {
  if (typeof value === 'string') {
    if (RANDOM_FIELDS.includes(field) && value !== '') yield value;
    else for (const [found] of value.matchAll(TOKEN)) yield found;
  } else if (Array.isArray(value)) {
    for (const each of value) yield* randomTexts(each, '');
  } else if (typeof value === 'object' && value !== null && !(value instanceof Map) && !Buffer.isBuffer(value)) {
    for (const [name, each] of Object.entries(value)) yield* randomTexts(each, name);
  }
}

const textOf = (name, value) => {
  if (value instanceof Map) return [...value];
  return typeof value === 'bigint' ? String(value) : value;
};
