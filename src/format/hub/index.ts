/** Models of a hub: fetched into the standard cache, opened from there; and the cache itself. */
export type { LoadProgress } from '../progress.ts';
export { type CachedModel, type CachedRevision, type CacheProblem, cache, type VerifyOptions } from './cache.ts';
export { hubFiles } from './hub-files.ts';
export { formatHubId, type HubId, isHubId, parseHubId } from './hub-id.ts';
export type { FetchOptions, HubOptions } from './settings.ts';
