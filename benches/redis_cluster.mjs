// A Redis Cluster on loopback whose nodes share the slots evenly, without replicas.
import fs from 'node:fs';
import { output, temporaryFolder } from '../deploy/load/service.mjs';
import { freePort, isListening, Process, waitUntil } from '../tests/web/processes.mjs';

const SLOTS = 16_384;

export class RedisCluster {
  static async start(count) {
    const cluster = new RedisCluster();
    cluster.nodes = [];
    for (let number = 0; number < count; number += 1) cluster.nodes.push(await Node.start());
    await cluster.#join();
    return cluster;
  }

  async #join() {
    const [{ port, busPort }] = this.nodes;
    const count = this.nodes.length;
    for (const [number, node] of this.nodes.entries()) {
      const [first, after] = [number, number + 1].map((index) => Math.floor((SLOTS * index) / count));
      await node.run('cluster', 'set-config-epoch', number + 1);
      await node.run('cluster', 'addslotsrange', first, after - 1);
      if (number > 0) await node.run('cluster', 'meet', '127.0.0.1', port, busPort);
    }
    const knowsAll = async (node) => {
      const info = await node.run('cluster', 'info');
      return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${count}\r`);
    };
    for (const node of this.nodes) await waitUntil('the nodes know each other', () => knowsAll(node));
  }

  async stop() {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

class Node {
  static async start() {
    const node = new Node();
    [node.port, node.busPort] = [await freePort(), await freePort()];
    node.folder = temporaryFolder('redis');
    const args = ['--port', node.port, '--bind', '127.0.0.1', '--save', '', '--dir', node.folder, '--loglevel', 'warning',
      '--hash-max-listpack-value', 1024, '--cluster-enabled', 'yes', '--cluster-port', node.busPort,
      // Longer than the load keeps a node from answering.
      '--cluster-node-timeout', 60_000];
    node.process = new Process('redis-server', args.map(String), {});
    await node.process.whileRunning(waitUntil('a node listens', () => isListening(node.port)));
    return node;
  }

  run(...command) {
    return output('redis-cli', ['-p', this.port, ...command].map(String));
  }

  async stop() {
    await this.process.stop();
    fs.rmSync(this.folder, { recursive: true });
  }
}
