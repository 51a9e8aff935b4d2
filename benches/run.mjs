// `make bench`: measures calls, a bare echo and Redis. README.md in this folder explains the output.
import { cluster, clusterTable } from './cluster.mjs';
import { goalLines } from './goals.mjs';
import { instructions, instructionTable, profiles } from './instructions.mjs';
import { rates, rateTable } from './rates.mjs';
import { PARTS, ROUNDS, SECONDS } from './settings.mjs';
import { storeLines, stores } from './stores.mjs';

const measured = {};
if (PARTS.includes('rates')) {
  measured.rates = await rates();
  console.log(`Rates and processor time, medians of ${ROUNDS} rounds of ${SECONDS} s\n\n${rateTable(measured.rates)}\n`);
}
if (PARTS.includes('instructions')) {
  measured.instructions = await instructions();
  console.log(`Instructions in user space, 10x10\n\n${instructionTable(measured.instructions)}\n${profiles(measured.instructions)}`);
}
if (PARTS.includes('stores')) {
  measured.stores = await stores();
  console.log(`Stores by themselves\n\n${storeLines(measured.stores)}\n`);
}
if (PARTS.includes('cluster')) {
  measured.cluster = await cluster();
  console.log(`Redis Cluster, ${ROUNDS} rounds of ${SECONDS} s, 10x10\n\n${clusterTable(measured.cluster)}\n`);
}
console.log(`Goals\n\n${goalLines(measured)}`);
process.exit(0);
