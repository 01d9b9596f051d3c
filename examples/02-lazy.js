// Laziness: functions grow a graph; asking for data compiles and runs it once, fused. Run: node examples/02-lazy.js
import { evaluate, numpy as np } from 'bitloom';

const x = np.linspace(0, 1, 5);
const y = np.add(np.multiply(np.sin(x), 2), 1);
console.log('computed:', y.isEvaluated);
await y.evaluate();
console.log(
  'computed:',
  y.isEvaluated,
  Array.from(await y.data(), (value) => value.toFixed(3)),
);

const [low, high] = [np.min(y), np.max(y)];
await evaluate([low, high]); // both in one program
console.log((await low.item()).toFixed(3), (await high.item()).toFixed(3));
y.dispose(); // frees the memory now; otherwise the garbage collector does

// Prints:
// computed: false
// computed: true [ '1.000', '1.495', '1.959', '2.363', '2.683' ]
// 1.000 2.683
