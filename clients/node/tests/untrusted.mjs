// What every transport does with a certificate that it does not trust.
import assert from 'node:assert/strict';
import { SessionUnavailable } from 'cloakroom-sessions';
import messages from '../src/messages.js';

const read = (client) => client.open({ app: 'shop' });

// Checks that calls to this port fail at once, and that with two addresses the one that is trusted is used.
export async function failsAtOnce(clientOf, port, { mutual }) {
  const address = `https://localhost:${port}`;
  const otherName = `https://127.0.0.1:${port}`;
  const otherAuthority = { ...mutual, caFile: mutual.certificateFile };
  // So long that the test only ends in time if nothing is repeated.
  const deadline = 3_600_000;
  const untrusted = [[address, otherAuthority], [otherName, mutual], [`${address},${otherName}`, otherAuthority]];

  const failed = await Promise.all(untrusted.flatMap(([named, credentials]) => {
    const client = clientOf(named, { ...credentials, deadline });
    return [read(client), client.stream(messages.WATCH, { app: 'shop' })].map((call) => call.catch((error) => error));
  }));
  const trusted = clientOf(`${otherName},${address}`, mutual);
  const opened = [];
  for (let i = 0; i < 4; i += 1) opened.push((await read(trusted)).session.new);

  for (const error of failed) {
    assert.ok(error instanceof SessionUnavailable, String(error));
    assert.match(error.message, /; set caFile to the authority of the service's certificate, which has to name /);
  }
  assert.deepEqual(opened, [true, true, true, true]);
}
