/** The command line: reads arguments, runs one command, returns the exit code. */

/** Runs `bitloom` with `args` (without node and script) and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  process.stdout.write(`bitloom ${args.join(' ')}\n`);
  return 0;
}
