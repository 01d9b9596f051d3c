/** The command line: reads arguments, runs one command, tells errors, returns the exit code. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import type { KvCacheType } from '../engine/index.ts';
import { BitloomError } from '../ir/error.ts';
import { cacheCommands } from './cache-commands.ts';
import type { DoctorOptions } from './doctor.ts';
import type { Engine } from './engine-face.ts';
import { EXIT, exitCodeOf } from './exit-code.ts';
import { withHubFlags } from './hub-flags.ts';
import type { InspectOptions } from './inspect.ts';
import { applyEnvironment, integer, list, logitBias, number, option, resolveAliases, weightCacheOf } from './option.ts';
import type { RunOptions } from './run.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const EXIT_HELP = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad file, 4 not enough memory, room or no device,
5 network or hub, 130 interrupted.
Each option has a twin in the environment: BITLOOM_MAX_TOKENS=50 is --max-tokens 50; the option wins.`;

/** Reads the version from the package, which lies two folders up from sources and build alike. */
function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/**
 * Runs `bitloom` and returns the exit code. The engine is loaded when a command needs it, so that help and
 * usage errors are quick.
 *
 * @param args arguments without node and script
 */
export async function main(
  args: readonly string[],
  terminal: Terminal = processTerminal(),
  loadEngine: () => Promise<Engine> = () => import('../engine/index.ts'),
): Promise<number> {
  let code: number = EXIT.done;
  const program = new Command('bitloom')
    .description('Small tensors, fast tensor programs, wherever JavaScript runs.')
    .version(version())
    .showHelpAfterError('(--help tells what there is)')
    .exitOverride()
    .configureOutput({ writeOut: terminal.write, writeErr: terminal.note })
    .addHelpText('after', `\nExample: bitloom run --prompt 'Write a short bedtime story.'\n${EXIT_HELP}`);
  const commands = [
    runCommand(program, async (model, options) => {
      const { run } = await import('./run.ts');
      code = await run(model, options, terminal, await loadEngine());
    }),
    inspectCommand(program, async (path, options) => {
      const { inspect } = await import('./inspect.ts');
      code = await inspect(path, options, terminal);
    }),
    doctorCommand(program, async (options) => {
      const { doctor } = await import('./doctor.ts');
      code = await doctor(version(), options, terminal);
    }),
    ...cacheCommands(program, terminal, (result) => {
      code = result;
    }),
  ];
  try {
    for (const command of commands) applyEnvironment(command, terminal.environment);
    await program.parseAsync(resolveAliases(args), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (terminal.closed.aborted) return EXIT.done;
    tellError(error, args, terminal);
    return exitCodeOf(error);
  }
}

const CACHE_TYPES: readonly string[] = ['f32', 'f16', 'q8_0'] satisfies KvCacheType[];

function runCommand(
  program: Command,
  action: (model: string | undefined, options: RunOptions) => Promise<void>,
): Command {
  const command = withHubFlags(program.command('run [model]'))
    .description(
      'Continue a prompt, or chat on a terminal. Without a model, the embedded one.\nA model is a path, an address, or the id of a hub, org/name[@revision][:file-or-quant].\nSampling that is not given is what the model recommends.',
    )
    .addOption(option('-m, --model <model>', 'the model, where it is not given as an argument'))
    .addOption(option('-p, --prompt <text>', "what to answer; '-' reads stdin. Without it: chat on a terminal"))
    .addOption(option('--system <text>', 'instruction that goes before the conversation'))
    .addOption(option('-n, --max-tokens <n>', 'stop after this many tokens', integer(1, 2 ** 31)))
    .addOption(option('--temperature <t>', '0 takes the likeliest token; higher dares more', number(0, 100)))
    .addOption(option('--top-k <k>', 'draw among the k likeliest tokens; 0 is all', integer(0, 2 ** 31)))
    .addOption(option('--top-p <p>', 'draw among the likeliest that sum to p', number(0, 1)))
    .addOption(option('--min-p <p>', 'leave out what is less likely than p times the likeliest', number(0, 1)))
    .addOption(option('--repetition-penalty <r>', 'above 1 makes repetition less likely', number(0.01, 100)))
    .addOption(option('--frequency-penalty <f>', 'above 0 weakens tokens each time they were generated', number(-2, 2)))
    .addOption(option('--presence-penalty <p>', 'above 0 weakens tokens that were generated', number(-2, 2)))
    .addOption(
      option('--logit-bias <id=bias>', "add to tokens' logits; -inf bans; several with commas or repeated", logitBias),
    )
    .addOption(
      option('--logprobs <n>', 'tell log-probabilities, with the n likeliest tokens; with --json', integer(0, 1000)),
    )
    .addOption(option('-s, --seed <s>', 'same seed, same text; drawn and told when not given', integer(0, 2 ** 32 - 1)))
    .addOption(option('--stop <text>', 'end at this text; may be given several times', list))
    .addOption(option('--ignore-eos', 'go on past the end token'))
    .addOption(option('--raw', 'take the prompt as it stands, without the chat template'))
    .addOption(new Option('--device <name>', 'what computes').choices(['auto', 'x64', 'wasm', 'interpreter']))
    .addOption(option('-t, --threads <n>', 'threads that compute', integer(1, 1024)))
    .addOption(option('--deterministic', 'the same text whatever number of threads computes, a little slower'))
    .addOption(option('-c, --context <n>', 'tokens of prompt and reply together', integer(1, 2 ** 31)))
    .addOption(new Option('--kv-cache <type>', 'how keys and values are cached').choices(CACHE_TYPES))
    .addOption(new Option('--cache-type-k <type>', 'the same, as llama.cpp calls it; also -ctk').choices(CACHE_TYPES))
    .addOption(new Option('--cache-type-v <type>', 'the same; also -ctv').choices(CACHE_TYPES))
    .addOption(
      option(
        '--weight-cache <folder>',
        "where weights are kept laid out, so that models load at once; 'off' copies them to memory",
        weightCacheOf,
      ),
    )
    .addOption(
      option('--json', 'one JSON object on stdout: text, tokens, promptTokens, finishReason, logprobs, timings'),
    )
    .addOption(option('-q, --quiet', 'no progress and no summary'))
    .addHelpText('after', "\nExample: bitloom run model.gguf -p 'Name three rivers.' -n 60 --temp 0 --json")
    .action(async (argument: string | undefined, options: RunOptions & { readonly model?: string }) => {
      if (argument !== undefined && options.model !== undefined && command.getOptionValueSource('model') !== 'env') {
        command.error(`error: two models: '${argument}' and --model '${options.model}'. Give one.`, { exitCode: 2 });
      }
      await action(argument ?? options.model, options);
    });
  return command;
}

function inspectCommand(program: Command, action: (path: string, options: InspectOptions) => Promise<void>): Command {
  return withHubFlags(program.command('inspect <model>'))
    .description('Tell what a checkpoint holds: format, architecture, settings, tensors.')
    .addOption(option('--json', 'one JSON object on stdout'))
    .addHelpText('after', '\nExample: bitloom inspect model.gguf --json')
    .action(action);
}

function doctorCommand(program: Command, action: (options: DoctorOptions) => Promise<void>): Command {
  return program
    .command('doctor')
    .description('Tell what this machine offers, and check the generated code on it.')
    .addOption(new Option('--device <name>', 'what computes').choices(['auto', 'x64', 'wasm', 'interpreter']))
    .addOption(option('-t, --threads <n>', 'threads that compute', integer(1, 1024)))
    .addOption(option('--json', 'one JSON object on stdout'))
    .addHelpText('after', '\nExample: bitloom doctor --json')
    .action(action);
}

/** Tells an error on stderr, and on stdout too where a program asked for JSON. */
function tellError(error: unknown, args: readonly string[], terminal: Terminal): void {
  const known = error instanceof BitloomError;
  if (known && error.code === 'ABORTED') terminal.note('interrupted');
  else if (known) terminal.note(`error: ${error.message} (${error.code})`);
  else terminal.note(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  if (args.includes('--json')) {
    const code = known ? error.code : 'INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    terminal.write(`${JSON.stringify({ error: { code, message } })}\n`);
  }
}
