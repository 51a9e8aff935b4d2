// A page that reads, with forms whose actions write.
import { headers } from 'next/headers';
import { store } from '../lib/sessions.js';
import { addToCart, logIn, logOut } from './actions.js';

export default async function Home() {
  const session = await store.open(await headers());
  return (
    <main>
      <p id="who">{session.subject ? `Hello, ${session.subject}` : 'not logged in'}</p>
      <p id="cart">{(session.cart ?? []).join(' ')}</p>
      <form action={logIn}><input name="name" /><button>Log in</button></form>
      <form action={addToCart}><input name="item" /><button>Add</button></form>
      <form action={logOut}><button>Log out</button></form>
    </main>
  );
}
