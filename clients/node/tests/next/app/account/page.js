// A page behind `proxy.js`.
import { headers } from 'next/headers';
import { store } from '../../lib/sessions.js';

export default async function Account() {
  const session = await store.open(await headers());
  return <p id="who">{`The account of ${session.subject}, view ${session.views}`}</p>;
}
