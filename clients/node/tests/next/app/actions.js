'use server';

import { cookies, headers } from 'next/headers';
import { redirect } from 'next/navigation';
import { store } from '../lib/sessions.js';

export async function logIn(form) {
  const session = await store.open(await headers());
  session.subject = form.get('name');
  await session.applyTo(await cookies());
  redirect('/');
}

export async function addToCart(form) {
  const session = await store.open(await headers());
  session.cart = [...session.cart ?? [], form.get('item')];
  await session.applyTo(await cookies());
}

export async function logOut() {
  const session = await store.open(await headers());
  await session.destroy();
  await session.applyTo(await cookies());
  redirect('/');
}
