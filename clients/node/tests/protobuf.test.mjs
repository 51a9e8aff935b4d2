// The messages and their encoding, compared with the proto files and with protobufjs on random messages.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import admin from '../src/admin_messages.js';
import messages from '../src/messages.js';
import { Message } from '../src/protobuf.js';

const MESSAGES = { ...messages.MESSAGES, ...admin.ADMIN_MESSAGES };
const ROUNDS = Number(process.env.CLOAKROOM_TEST_MESSAGES ?? 300);

const root = new protobuf.Root();
root.resolvePath = (origin, target) => {
  const isCommon = target.startsWith('google/protobuf/');
  return isCommon ? protobuf.util.path.resolve(origin, target) : fileURLToPath(new URL(`../../../proto/${target}`, import.meta.url));
};
root.loadSync('cloakroom/v1/admin_service.proto').resolveAll();
const oracleOf = (name) => root.lookupType(`cloakroom.v1.${name}`);

test('the tables have every field of the proto, with its number and type', () => {
  for (const [name, message] of Object.entries(MESSAGES)) {
    const expected = Object.fromEntries(oracleOf(name).fieldsArray.map((field) => [field.name, describeOracle(field)]));
    const described = Object.fromEntries(message.list.map(([field, table]) => [field, describeTable(table)]));

    assert.deepEqual(described, expected, name);
  }
});

test('the paths and messages of the RPCs are those of the proto', () => {
  const { OPEN, SAVE, DESTROY, POLICY, WATCH } = messages;
  for (const method of [OPEN, SAVE, DESTROY, POLICY, WATCH, ...Object.values(admin.ADMIN_METHODS)]) {
    const [, service, name] = method.path.split('/');
    const { requestType, responseType } = root.lookupService(service).methods[name];

    assert.equal(name, method.name);
    assert.deepEqual([method.request, method.response], [MESSAGES[requestType], MESSAGES[responseType]]);
  }
});

test('random messages are read as protobufjs wrote them, and the other way round', () => {
  for (const [name, message] of Object.entries(MESSAGES)) {
    for (let round = 0; round < ROUNDS; round += 1) {
      const values = randomMessage(message);
      const oracle = oracleOf(name);

      const written = Buffer.from(oracle.encode(oracle.fromObject(toOracle(message, values))).finish());
      assert.deepEqual(message.decode(written), filled(message, values), name);
      assert.deepEqual(message.decode(message.encode(values)), filled(message, values), name);
      const readByOracle = oracle.decode(message.encode(values));
      assert.deepEqual(Buffer.from(oracle.encode(readByOracle).finish()).length, written.length, name);
      assert.deepEqual(message.decode(Buffer.from(oracle.encode(readByOracle).finish())), filled(message, values), name);
    }
  }
});

test('fields of a newer service are skipped', () => {
  const newer = new protobuf.Type('Newer')
    .add(new protobuf.Field('a', 100, 'string')).add(new protobuf.Field('b', 101, 'fixed64'))
    .add(new protobuf.Field('c', 102, 'float')).add(new protobuf.Field('d', 103, 'int64'))
    .add(new protobuf.Field('value', 2, 'string'));
  const bytes = Buffer.from(newer.encode({ a: 'x', b: 1, c: 1, d: -1, value: 'known' }).finish());

  assert.deepEqual(MESSAGES.Header.decode(bytes), { name: '', value: 'known' });
  assert.equal(MESSAGES.SaveSessionResponse.decode(Buffer.from([8, 99])).outcome, '99');
});

test('bytes that are cut off or damaged are refused or read, and never anything else', () => {
  for (let round = 0; round < ROUNDS * 10; round += 1) {
    const bytes = MESSAGES.OpenSessionResponse.encode(randomMessage(MESSAGES.OpenSessionResponse));
    for (let i = random(3); i >= 0 && bytes.length > 0; i -= 1) bytes[random(bytes.length)] = random(256);
    try {
      MESSAGES.OpenSessionResponse.decode(bytes.subarray(0, random(bytes.length + 1)));
    } catch (error) {
      assert.ok(error instanceof RangeError || error instanceof TypeError, error);
    }
  }
});

test('an integer of more than 64 bits is refused', () => {
  const values = { increment: new Map([['n', 2n ** 64n]]) };

  assert.throws(() => MESSAGES.Changes.encode(values), RangeError);
});

function describeOracle(field) {
  const names = { 'google.protobuf.Duration': 'milliseconds', 'google.protobuf.Timestamp': 'milliseconds' };
  const type = names[field.type] ?? (field.resolvedType instanceof protobuf.Enum ? enumNames(field.resolvedType) : field.type);
  const isMessage = field.resolvedType instanceof protobuf.Type;
  const label = field.map ? 'map' : field.repeated ? 'repeated' : isMessage || field.partOf ? 'optional' : 'plain';
  return { number: field.id, type, label };
}

// Without their common prefix.
function enumNames({ values }) {
  const prefix = Object.keys(values)[0].replace(/UNSPECIFIED$/, '');
  return Object.entries(values).sort(([, a], [, b]) => a - b).map(([name]) => name.slice(prefix.length));
}

function describeTable({ number, type, label }) {
  const name = type instanceof Message ? Object.keys(MESSAGES).find((each) => MESSAGES[each] === type) : type;
  return { number, type: name, label };
}

const random = (below) => Math.floor(Math.random() * below);

const ONEOFS = [['json', 'raw'], ['cookieHeader', 'token', 'key'], ['idleTimeout', 'deadlineTime', 'defaultLifetime']];

function randomMessage(message) {
  const values = {};
  for (const [name, field] of message.list) {
    if (random(3) === 0) continue;
    if (field.label === 'repeated') values[name] = Array.from({ length: random(4) }, () => randomValue(field.type));
    else if (field.label === 'map') values[name] = new Map(Array.from({ length: random(4) }, () => [randomText(), randomValue(field.type)]));
    else values[name] = randomValue(field.type);
  }
  for (const names of ONEOFS) {
    const isOne = names.every((name) => message.fields[name]);
    if (isOne) for (const name of names.filter((each) => values[each] !== undefined).slice(1)) delete values[name];
  }
  return values;
}

function randomValue(type) {
  if (type === 'string') return randomText();
  if (type === 'bool') return random(2) === 1;
  if (type === 'bytes') return Buffer.from(Array.from({ length: random(200) }, () => random(256)));
  if (type === 'uint32') return random(2 ** 32);
  if (type === 'uint64') return random(2 ** random(53));
  if (type === 'int32') return random(2 ** 31) * (random(2) ? 1 : -1) + 0;
  if (type === 'int64') {
    const small = random(2 ** random(50)) * (random(2) ? 1 : -1) + 0;
    return random(4) === 0 ? BigInt(Number.MAX_SAFE_INTEGER) + BigInt(random(1e6) + 1) : small;
  }
  // Exact in nanoseconds and as a number.
  if (type === 'milliseconds') return random(2 ** 40) + random(8) / 8;
  return Array.isArray(type) ? type[random(type.length)] : randomMessage(type);
}

function randomText() {
  const characters = ['a', 'é', '€', '😀', '\0', '"', 'xyz'];
  return Array.from({ length: random(random(2) ? 60 : 300) }, () => characters[random(characters.length)]).join('');
}

// As protobufjs takes it.
function toOracle(message, values) {
  const object = {};
  for (const [name, value] of Object.entries(values)) {
    const { type, label } = message.fields[name];
    const convert = (each) => {
      if (type === 'milliseconds') return { seconds: Math.floor(each / 1000), nanos: Math.round((each % 1000) * 1e6) };
      if (type === 'int64') return protobuf.util.Long.fromString(String(each));
      if (type === 'uint64') return protobuf.util.Long.fromString(String(each), true);
      if (Array.isArray(type)) return type.indexOf(each);
      return type instanceof Message ? toOracle(type, each) : each;
    };
    if (label === 'map') object[name] = Object.fromEntries([...value].map(([key, each]) => [key, convert(each)]));
    else object[name] = label === 'repeated' ? value.map(convert) : convert(value);
  }
  return object;
}

// With the defaults that a reader adds.
function filled(message, values) {
  const all = {};
  for (const [name, { type, label }] of message.list) {
    const fill = (each) => (type instanceof Message ? filled(type, each) : each);
    const value = values[name];
    if (label === 'map') all[name] = new Map([...value ?? []].map(([key, each]) => [key, fill(each)]));
    else if (label === 'repeated') all[name] = (value ?? []).map(fill);
    else all[name] = value === undefined ? message.defaults[name] : fill(value);
  }
  return all;
}
