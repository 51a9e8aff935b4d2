// A transport that records its calls, and fails those that a test wants to fail.
import client from 'cloakroom-sessions';

export class RecordingTransport {
  // The requests, each with the name of its RPC.
  calls = [];
  // What is called instead of the next call of an RPC, by its name.
  instead = new Map();

  constructor(address) {
    this.transport = new client.ConnectTransport(address);
  }

  call(method, request, timeout) {
    this.calls.push({ rpc: method.name, request });
    const instead = this.instead.get(method.name);
    this.instead.delete(method.name);
    return instead ? instead(method, request, timeout) : this.transport.call(method, request, timeout);
  }

  // Returns the names of the RPCs since the last time.
  takeNames() {
    return this.takeCalls().map(({ rpc }) => rpc);
  }

  takeCalls() {
    return this.calls.splice(0);
  }
}
