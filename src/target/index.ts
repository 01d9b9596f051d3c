/** The interface that every machine implements. */
export type { BufferSlot, CompiledPlan, DeviceBuffer, Plan, PlanStep, Target } from './target.ts';
