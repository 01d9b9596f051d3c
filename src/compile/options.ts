/** What a caller may choose when it compiles a graph. */
import type { Kernel } from '../kernel/language.ts';
import type { MachineRates } from '../kernel/machine.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../kernel/template.ts';
import type { Pass } from './pass/pass.ts';
import type { Donation } from './storage.ts';

/** Picks one of a template's candidates, which come best first by the cost model. */
export type ScheduleChoice = (
  template: KernelTemplate,
  request: KernelRequest,
  candidates: readonly Schedule[],
) => Schedule;

export interface CompileOptions {
  /** Names the plan in traces and errors. Default `program`. */
  readonly name?: string;
  /** Hot kernels, in the order in which they are asked. Default none. */
  readonly templates?: readonly KernelTemplate[];
  /** Default: the first. */
  readonly chooseSchedule?: ScheduleChoice;
  /** The machine's rates, measured, for the cost model. Default: those of a current core. */
  readonly rates?: MachineRates | undefined;
  /** Inputs whose memory becomes an output's. */
  readonly donate?: readonly Donation[];
  /** Verify the graph after every pass. Default false. */
  readonly check?: boolean;
  /** Rewrites to run, in order. Default: all of them. */
  readonly passes?: readonly Pass[];
  /** Kernels built before, by key; shared among the programs of one machine. */
  readonly kernels?: Map<string, Kernel>;
}
