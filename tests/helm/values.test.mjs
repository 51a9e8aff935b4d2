// The values that the chart takes: values.schema.json and the templates refuse the others, each with its reason.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { CHART, refusal, yaml } from './chart.mjs';
import { describedValues, valuesText } from './readme.mjs';

const schema = JSON.parse(fs.readFileSync(path.join(CHART, 'values.schema.json'), 'utf8'));
const redis = (settings, more) => ({ store: { kind: 'redis', redis: { addresses: ['redis:6379'], ...settings } }, ...more });
const sentinel = (settings) => redis({ mode: 'sentinel', addresses: ['a:26379'], ...settings });
const caller = (settings) => ({ callers: { entries: [{ name: 'shop', roles: ['frontend'], apps: ['default'], ...settings }] } });

// Values, and what Helm says about them.
const REFUSED = [
  [{ replica: 2 }, "additional properties 'replica' not allowed"],
  [{ replicas: '1' }, "at '/replicas': got string, want integer"],
  [{ replicas: 2 }, "at '/replicas': maximum: got 2, want 1"],
  [{ replicas: 2, store: { kind: 'memory' } }, "at '/replicas': maximum: got 2, want 1"],
  [{ autoscaling: { enabled: true } }, "at '/autoscaling/enabled': value must be false"],
  [redis({}, { autoscaling: { enabled: true, minReplicas: 11 } }), 'autoscaling.minReplicas: it has to be at most autoscaling.maxReplicas'],
  [{ store: { kind: 'file' } }, "at '/store/kind': value must be one of 'embedded', 'redis', 'memory'"],
  [{ store: { kind: 'redis' } }, "at '/store/redis/addresses': minItems: got 0, want 1"],
  [redis({ mode: 'replica' }), "at '/store/redis/mode': value must be one of 'standalone', 'sentinel', 'cluster'"],
  [redis({ mode: 'cluster', database: 1 }), "at '/store/redis/database': value must be 0"],
  [redis({ mode: 'cluster', sentinel: { serviceName: 'mymaster' } }), "at '/store/redis/sentinel/serviceName': maxLength: got 8, want 0"],
  [redis({ addresses: ['redis'] }), "at '/store/redis/addresses/0': 'redis' does not match pattern"],
  [redis({ addresses: ['a:1', 'b:1'] }), "at '/store/redis/addresses': maxItems: got 2, want 1"],
  [redis({ urlKey: 'url', existingSecret: 'redis' }), "at '/store/redis/addresses': maxItems: got 1, want 0"],
  [redis({ addresses: [], urlKey: 'url' }), "at '/store/redis/existingSecret': minLength: got 0, want 1"],
  [redis({ passwordKey: 'password' }), "at '/store/redis/existingSecret': minLength: got 0, want 1"],
  [redis({ username: 'cloakroom' }), "at '/store/redis/passwordKey': minLength: got 0, want 1"],
  [redis({ sentinel: { serviceName: 'mymaster' } }), "at '/store/redis/sentinel/serviceName': maxLength: got 8, want 0"],
  [redis({ tls: { enabled: true, ca: 'ca.crt' } }), "at '/store/redis/tls/existingSecret': minLength: got 0, want 1"],
  [redis({ tls: { enabled: true, existingSecret: 'a', certificate: 'b' } }), "at '/store/redis/tls/privateKey': minLength: got 0, want 1"],
  [redis({ tls: { existingSecret: 'a', ca: 'ca.crt' } }), "at '/store/redis/tls/existingSecret': maxLength: got 1, want 0"],
  [sentinel({}), "at '/store/redis/sentinel/serviceName': minLength: got 0, want 1"],
  [sentinel({ sentinel: { serviceName: 'm', passwordKey: 'p' } }), "at '/store/redis/existingSecret': minLength: got 0, want 1"],
  [sentinel({ sentinel: { serviceName: 'm', username: 'u' } }), "at '/store/redis/sentinel/passwordKey': minLength: got 0, want 1"],
  [redis({}, { keys: { existingSecret: '' } }), "at '/keys/existingSecret': minLength: got 0, want 1"],
  [{ keys: { apps: [{ app: 'Shop', key: 'shop' }] } }, "at '/keys/apps/0/app': 'Shop' does not match pattern"],
  [{ keys: { apps: [{ app: 'a', key: 'x' }, { app: 'a', key: 'y' }] } }, 'keys.apps: a name comes twice: a, a'],
  [{ callers: { entries: [] } }, "at '/callers/entries': minItems: got 0, want 1"],
  [caller({}), "missing property 'tokenHashes'"],
  [caller({ hashesKey: 'shop', roles: ['boss'] }), "value must be one of 'frontend', 'admin', 'viewer', 'monitor', 'backup'"],
  [caller({ hashesKey: 'shop', tokenHashes: ['0'.repeat(64)] }), "at '/callers/entries/0': 'not' failed"],
  [caller({ tokenHashes: ['secret'] }), "at '/callers/entries/0/tokenHashes/0': 'secret' does not match pattern"],
  [caller({ certificateNames: ['shop'] }), 'callers.entries: shop has certificateNames; name the key of the authorities'],
  [{ tls: { existingSecret: 'tls', clientCa: 'ca.crt' } }, 'tls.clientCa: no caller is known by its certificate; give one certificateNames in callers.entries'],
  [{ callers: { existingSecret: '' } }, 'callers.entries: frontend has a hashesKey; name the Secret that has this key in callers.existingSecret'],
  [{ callers: { entries: [1, 2].map(() => caller({ hashesKey: 'x' }).callers.entries[0]) } }, 'callers.entries: a name comes twice: shop, shop'],
  [{ config: { server: { listen: '0.0.0.0:1' } } }, 'config.server.listen: the chart decides it; use service'],
  [{ config: { server: { shutdown_delay: '1s' } } }, 'config.server.shutdown_delay: the chart decides it; use shutdown.delaySeconds'],
  [{ config: { store: { embedded: { lock_timeout: '1s' } } } }, 'config.store.embedded.lock_timeout: the chart decides it; use shutdown'],
  [{ config: { admin: { listen: '' } } }, 'config.admin.listen: the chart decides it; use metrics.enabled'],
  [{ config: { admin: { tls: {} } } }, 'config.admin.tls: the chart decides it; use metrics.tls'],
  [{ config: { callers: {} } }, 'config.callers: the chart decides it; use callers.entries'],
  [{ config: { store: { redis: { url: 'redis://redis' } } } }, 'config.store.redis.url: the chart decides it; use store.redis.addresses'],
  [{ config: { apps: { shop: { keys: ['key'] } } } }, 'config.apps.shop.keys: a ConfigMap is no place for secrets'],
  [{ config: { apps: { shop: { keys_file: '/x' }, default: { keys_file: '/x' } } } }, 'config.apps.default.keys_file: keys.apps names the keys of this app already'],
  [{ config: { apps: { shop: { migrate: { flask_session: { url: 'redis://:pass@redis' } } } } } }, 'flask_session.url: a ConfigMap is no place for secrets'],
  [{ config: { log: { level: [[1]] } } }, "at '/config/log/level'"],
  [{ tls: { clientCa: 'ca.crt' } }, "at '/tls/existingSecret': minLength: got 0, want 1"],
  [{ metrics: { tls: { existingSecret: 'a' } } }, "at '/metrics/enabled': value must be true"],
  [{ metrics: { serviceMonitor: { enabled: true } } }, "at '/metrics/enabled': value must be true"],
  [{ grpcRoute: { enabled: true } }, "at '/grpcRoute/parentRefs': minItems: got 0, want 1"],
  [{ networkPolicy: { clientLabels: { 'cloakroom-client': true } } }, "at '/networkPolicy/clientLabels/cloakroom-client': got boolean, want string"],
  [{ networkPolicy: { clientLabels: null } }, "at '/networkPolicy': missing property 'clientLabels'"],
  [{ networkPolicy: null }, "missing property 'networkPolicy'"],
  [{ podLabels: null }, "missing property 'podLabels'"],
  [{ podDisruptionBudget: { maxUnavailable: null } }, "at '/podDisruptionBudget': missing property 'maxUnavailable'"],
  [{ networkPolicy: { clients: [{ podselector: {} }] } }, "additional properties 'podselector' not allowed"],
  [{ resources: { limits: { memory: '512 MB' } } }, "at '/resources/limits/memory': '512 MB' does not match pattern"],
  [{ image: { digest: 'sha256:1' } }, "at '/image/digest': 'sha256:1' does not match pattern"],
];

for (const [values, reason] of REFUSED) {
  test(`refused: ${JSON.stringify(values)}`, async () => {
    const said = await refusal(values);
    assert.ok(said.includes(reason), said);
  });
}

test('every object of the schema says which fields it has', () => {
  const open = [];
  const visit = (part, place) => {
    if (part === null || typeof part !== 'object') return;
    if (part.type === 'object' && part.additionalProperties === undefined) open.push(place);
    for (const [name, inner] of Object.entries(part)) visit(inner, `${place}/${name}`);
  };
  visit(schema, '');

  // What the chart passes on or does not use.
  assert.deepEqual(open, ['/properties/global', '/definitions/affinityPart']);
});

test('the schema has the fields of values.yaml and no others', async () => {
  const values = await yaml(path.join(CHART, 'values.yaml'));
  const differences = [];
  const resolve = (part) => (part.$ref ? schema.definitions[part.$ref.split('/').at(-1)] : part);
  const compare = (table, part, place) => {
    const { properties } = resolve(part);
    if (!properties || table === null || typeof table !== 'object' || Array.isArray(table)) return;
    const optional = ['/config', '/affinity', ''].includes(place) ? ['global', 'apps', ...Object.keys(schema.properties.affinity.properties)] : [];
    const known = Object.keys(properties).filter((name) => name in table || !optional.includes(name));
    const names = Object.keys(table);
    for (const name of new Set([...known, ...names])) {
      if (!known.includes(name) || !names.includes(name)) differences.push(`${place}/${name}`);
      else compare(table[name], properties[name], `${place}/${name}`);
    }
  };
  compare(values, schema, '');

  assert.deepEqual(differences, []);
});

test('every value has a comment, or its table has one', async () => {
  const values = await yaml(path.join(CHART, 'values.yaml'));
  const described = describedValues(valuesText(), values).map((one) => one.path);
  const leaves = (table, place) => (table !== null && typeof table === 'object' && !Array.isArray(table) && Object.keys(table).length > 0
    ? Object.entries(table).flatMap(([name, inner]) => leaves(inner, place ? `${place}.${name}` : name)) : [place]);

  assert.deepEqual(leaves(values, '').filter((leaf) => !described.some((one) => leaf === one || leaf.startsWith(`${one}.`))), []);
});
