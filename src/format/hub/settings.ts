/** What a hub is asked with: arguments first, then the environment variables that Hugging Face's own tools read. */
import { type FileStore, platform } from '#platform';
import { BitloomError } from '../../ir/error.ts';
import type { LoadProgress } from '../progress.ts';

export interface HubOptions {
  /** Access token. Default: HF_TOKEN, else the file that `hf auth login` wrote. Goes to the endpoint only. */
  readonly token?: string | undefined;
  /** Address of the hub. Default: HF_ENDPOINT, else https://huggingface.co. */
  readonly endpoint?: string | undefined;
  /** Folder of the cache. Default: HF_HUB_CACHE, else `hub` under HF_HOME, else ~/.cache/huggingface/hub. */
  readonly cacheFolder?: string | undefined;
  /** Take what the cache has, and nothing else. Default: HF_HUB_OFFLINE. */
  readonly offline?: boolean | undefined;
  /** Give a server up that sends nothing for so long. Default 30 000. */
  readonly stallMs?: number | undefined;
  /** Wait so long before asking again, then twice as long, and so on. Default 500. */
  readonly retryMs?: number | undefined;
}

/** Options of a call that fetches. */
export interface FetchOptions extends HubOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: LoadProgress) => void) | undefined;
  /** False reads what the cache lacks from the hub, by ranges: for a look at a header. Default true. */
  readonly download?: boolean | undefined;
  /** Hears of each fallback once. Default: console.warn. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** The end of the line to a hub. */
export interface HubLine {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly stallMs: number;
  readonly retryMs: number;
}

const environment = (name: string): string | undefined => platform.environment(name) || undefined;
const isOn = (text: string | undefined): boolean => /^(1|true|yes|on)$/i.test(text ?? '');

/** Takes `~` for the user's folder. */
const expand = (folder: string): string =>
  /^~([/\\]|$)/.test(folder) ? platform.joinPath(platform.homeFolder(), folder.slice(2)) : folder;

function homeOfHub(): string {
  const cache = environment('XDG_CACHE_HOME') ?? platform.joinPath(platform.homeFolder(), '.cache');
  return expand(environment('HF_HOME') ?? platform.joinPath(cache, 'huggingface'));
}

/** The folder that the cache lies in, by argument or environment. */
export function cacheFolder({ cacheFolder: given }: HubOptions = {}): string {
  const named = given ?? environment('HF_HUB_CACHE') ?? environment('HUGGINGFACE_HUB_CACHE');
  return named === undefined ? platform.joinPath(homeOfHub(), 'hub') : expand(named);
}

/** The cache, or undefined where the platform has no place for one. */
export const openCache = (options: HubOptions = {}): Promise<FileStore | undefined> =>
  platform.openStore(cacheFolder(options));

export const isOffline = ({ offline }: HubOptions): boolean => offline ?? isOn(environment('HF_HUB_OFFLINE'));

async function findToken(given: string | undefined): Promise<string | undefined> {
  if (given !== undefined) return given || undefined;
  if (isOn(environment('HF_HUB_DISABLE_IMPLICIT_TOKEN'))) return undefined;
  const named = environment('HF_TOKEN') ?? environment('HUGGING_FACE_HUB_TOKEN');
  if (named !== undefined) return named.trim();
  const path = expand(environment('HF_TOKEN_PATH') ?? platform.joinPath(homeOfHub(), 'token'));
  const [, folder = '.', name = path] = /^(.*)[/\\]([^/\\]+)$/.exec(path) ?? [];
  const text = await (await platform.openStore(folder || '/'))?.readText(name);
  return text?.trim() || undefined;
}

function checkEndpoint(endpoint: string): string {
  if (/^https?:\/\/[^/?#@]+(\/[^?#]*)?$/i.test(endpoint) && URL.canParse(endpoint)) return endpoint.replace(/\/+$/, '');
  throw new BitloomError('INVALID_ARGUMENT', `the hub's endpoint must be an http(s) address, not ${endpoint}`, {
    endpoint,
  });
}

/** Who to ask, and how. Throws INVALID_ARGUMENT. */
export async function openLine(options: HubOptions): Promise<HubLine> {
  const endpoint = checkEndpoint(options.endpoint ?? environment('HF_ENDPOINT') ?? 'https://huggingface.co');
  const token = await findToken(options.token);
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    const text = 'the token for the hub has spaces or other characters that no token has; set HF_TOKEN anew';
    throw new BitloomError('INVALID_ARGUMENT', text);
  }
  return { endpoint, token, stallMs: options.stallMs ?? 30_000, retryMs: options.retryMs ?? 500 };
}
