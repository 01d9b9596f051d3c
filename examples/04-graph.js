// The graph behind a function, and what its composites mean in primitives. Run: node examples/04-graph.js
import { nn } from 'bitloom';
import { expandComposites, printGraph } from 'bitloom/ir';
import { trace } from 'bitloom/tensor';

const { graph } = trace((x) => nn.softmax(x, 1), [{ dtype: 'f32', shape: [2, 4] }]);
console.log(printGraph(graph));
console.log(printGraph(expandComposites(graph)));
