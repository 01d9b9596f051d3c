/** bitloom itself, as its users run it: through the built package. */
import { Absent, type Options, type Workload } from '../adapter.ts';

/** Options: work, threads, and what the work needs. */
export async function prepare(options: Options): Promise<Workload> {
  throw new Absent(`bitloom cannot do ${options.work} yet`);
}
