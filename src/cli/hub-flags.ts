/** Flags of the commands that may ask a hub. */
import type { Command } from 'commander';
import type { HubOptions } from '../format/hub/index.ts';
import { option } from './option.ts';

export interface HubFlags {
  readonly hfToken?: string;
  readonly offline?: boolean;
}

/** Adds the flags. */
export const withHubFlags = (command: Command): Command =>
  command
    .addOption(option('--offline', 'take what the cache of hub models has, and ask no network'))
    .addOption(option('--hf-token <token>', 'for private models; better in HF_TOKEN, where no process list shows it'));

/** What the flags say of the hub, if anything; the rest is for HF_TOKEN, HF_HUB_OFFLINE and the like. */
export function hubOptions({ hfToken, offline }: HubFlags): HubOptions | undefined {
  return hfToken === undefined && offline === undefined ? undefined : { token: hfToken, offline };
}
