/** How threads share a plan: its steps in groups between barriers, the scratch they need, who has to be there. */
import type { Kernel, Statement } from '../kernel/language.ts';
import type { Plan, PlanStep } from './target.ts';

/** Steps that need no barrier between them: part p of each depends on part p of others at most. */
export function groupsOf({ steps }: Plan): PlanStep[][] {
  const groups: PlanStep[][] = [];
  let isOpen = false;
  for (const step of steps) {
    if (isOpen) groups.at(-1)!.push(step);
    else groups.push([step]);
    isOpen = !step.barrier;
  }
  return groups;
}

/** Scratch that the plan's kernels need: bytes for each thread and bytes for all, whole cache lines. */
export function scratchOf({ steps }: Plan): { threadBytes: number; sharedBytes: number } {
  const most = (sizes: number[]) => Math.ceil(Math.max(0, ...sizes) / 64) * 64;
  return {
    threadBytes: most(steps.map(({ kernel }) => kernel.threadScratchBytes)),
    sharedBytes: most(steps.map(({ kernel }) => kernel.sharedScratchBytes)),
  };
}

const meeting = new WeakMap<Kernel, boolean>();

/** True where a kernel's threads meet inside it: then each must run its own part, at the same time as the others. */
export function meetsInside(kernel: Kernel): boolean {
  const known = meeting.get(kernel);
  if (known !== undefined) return known;
  const found = findMeeting(kernel);
  meeting.set(kernel, found);
  return found;
}

function findMeeting({ body }: Kernel): boolean {
  const meets = (s: Statement): boolean =>
    s.kind === 'barrier' ||
    ((s.kind === 'loop' || s.kind === 'while') && s.body.some(meets)) ||
    (s.kind === 'if' && (s.then.some(meets) || s.otherwise.some(meets)));
  return body.some(meets);
}

/** True where some step waits for every thread; else one thread can run the plan before the others are up. */
export const needsAllThreads = ({ steps }: Plan): boolean => steps.some(({ kernel }) => meetsInside(kernel));
