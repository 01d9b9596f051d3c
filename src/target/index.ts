/** The interface that every machine implements. */
export {
  type BufferSlot,
  type CompiledPlan,
  checkWindow,
  type DeviceBuffer,
  type Plan,
  type PlanStep,
  type Target,
} from './target.ts';
