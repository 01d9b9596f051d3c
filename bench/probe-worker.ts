/** A second thread of a probe: runs its own instance each time the main thread raises the turn. */
import { workerData } from 'node:worker_threads';
import { instantiateProbe, type ProbeThread, RESULT, TURN } from './adapters/ceiling.ts';

const { probe, workingSetBytes, signals, passes } = workerData as ProbeThread;
const run = instantiateProbe(probe, workingSetBytes);

for (let turn = 0; ; turn++) {
  Atomics.add(signals, RESULT, 1);
  Atomics.notify(signals, RESULT);
  Atomics.wait(signals, TURN, turn);
  run(Atomics.load(passes, 0), workingSetBytes);
}
