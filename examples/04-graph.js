// The graph behind a function, and what its composites mean in primitives. Run: node examples/04-graph.js
import { nn } from 'bitloom';
import { expandComposites, printGraph } from 'bitloom/ir';
import { trace } from 'bitloom/tensor';

const { graph } = trace((x) => nn.softmax(x, 1), [{ dtype: 'f32', shape: [2, 4] }]);
console.log(printGraph(graph));
console.log(printGraph(expandComposites(graph)));

// Prints:
// %0 = input {index: 0, name: "argument0"} : f32[2, 4]
// %1 = softmax(%0) {axis: 1} : f32[2, 4]
// return %1
//
// %0 = input {index: 0, name: "argument0"} : f32[2, 4]
// %1 = reduce_max(%0) {axes: [1]} : f32[2]
// %2 = broadcast(%1) {axes: [0]} : f32[2, 4]
// %3 = sub(%0, %2) : f32[2, 4]
// %4 = exp(%3) : f32[2, 4]
// %5 = reduce_sum(%4) {axes: [1]} : f32[2]
// %6 = broadcast(%5) {axes: [0]} : f32[2, 4]
// %7 = div(%4, %6) : f32[2, 4]
// return %7
