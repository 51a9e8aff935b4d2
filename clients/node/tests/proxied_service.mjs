// A service for all tests of a file, and a proxy in front of it that is a new one for each test.
import { after, afterEach, before, beforeEach } from 'node:test';
import { LossyProxy } from './lossy_proxy.mjs';
import { Service } from './service.mjs';

export let service;
export let proxy;

// Starts both, and ends them. The tests see them in `service` and `proxy`.
export function useService() {
  before(async () => {
    service = await Service.start();
  });

  after(() => service?.remove());

  beforeEach(async () => {
    proxy = await LossyProxy.start(service.port);
  });

  afterEach(() => proxy.close());
}
