/** The commands `cache` and `pull` as the command line offers them. */
import type { Command } from 'commander';
import type { CacheOptions, PullOptions } from './cache.ts';
import { withHubFlags } from './hub-flags.ts';
import { option } from './option.ts';
import type { Terminal } from './terminal.ts';

const json = () => option('--json', 'one JSON object on stdout');

/** Adds the commands; `done` takes the exit code. Returns those that take options. */
export function cacheCommands(program: Command, terminal: Terminal, done: (code: number) => void): Command[] {
  const commands = () => import('./cache.ts');
  const group = program
    .command('cache')
    .description(
      'Models fetched from a hub: list, remove, verify. They lie where HF_HUB_CACHE or HF_HOME say.\nWeights that loads laid out for this machine are among them; they lie where BITLOOM_WEIGHT_CACHE says.',
    )
    .addHelpText('after', '\nExample: bitloom cache rm org/name');
  const list = group
    .command('ls')
    .description('List models with size, day of last use, and revisions; then laid out weights.')
    .addOption(json())
    .action(async (options: CacheOptions) => done(await (await commands()).cacheList(options, terminal)));
  const remove = group
    .command('rm <id...>')
    .description('Remove models, single revisions as org/name@revision, or laid out weights by their name.')
    .addOption(json())
    .action(async (ids: string[], options: CacheOptions) => {
      done(await (await commands()).cacheRemove(ids, options, terminal));
    });
  const verify = group
    .command('verify [id]')
    .description('Compare every file with the hash it is named by; 3 is the exit code where one differs.')
    .addOption(json())
    .action(async (id: string | undefined, options: CacheOptions) => {
      done(await (await commands()).cacheVerify(id, options, terminal));
    });
  const pull = withHubFlags(program.command('pull <id>'))
    .description('Fetch a model of a hub into the cache, or what is left of it, and tell where its files lie.')
    .addOption(json())
    .addOption(option('-q, --quiet', 'no progress'))
    .addHelpText('after', '\nExample: bitloom pull org/name:Q4_K_M')
    .action(async (id: string, options: PullOptions) => done(await (await commands()).pull(id, options, terminal)));
  return [list, remove, verify, pull];
}
