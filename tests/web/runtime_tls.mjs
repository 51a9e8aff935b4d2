// Opens a session by each of some addresses and credentials, in Deno or Bun, and prints what came of it.
import client from '../../clients/node/src/index.js';

for (const options of JSON.parse(process.env.CALLS)) {
  // So long that the test only ends in time if nothing is repeated.
  const opened = new client.Client({ ...options, app: 'shop', deadline: 3_600_000 }).open({ app: 'shop' });
  console.log(await opened.then(() => 'opened', (error) => `${error.name}: ${error.message}`));
}
