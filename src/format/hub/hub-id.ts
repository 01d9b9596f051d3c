/** Ids of a hub, `org/name[@revision][:file-or-quant]`, read strictly: each part ends up in an address and in a path. */
import { BitloomError } from '../../ir/error.ts';

export interface HubId {
  /** `org/name`. */
  readonly repository: string;
  /** Branch, tag, `refs/pr/1` or a commit's hash. */
  readonly revision: string;
  /** A file's name, or the name of a quantisation such as `Q4_K_M`; undefined leaves the choice to the hub's files. */
  readonly choice?: string;
}

/** Organisation and name: letters, digits and `-_.`, neither at an end (`_` may), no `--` and no `..`. */
const NAME = /^(?!.*(?:--|\.\.))[\w](?:[\w.-]{0,94}\w)?$/;
const REVISION = /^[\w.+-]+(?:\/[\w.+-]+)*$/;

/** True where every part of a path with slashes is a plain name: no way out of its folder, on any system. */
export const isSafePath = (path: string): boolean =>
  path.length <= 1024 &&
  path.split('/').every((part) => {
    const code = (c: string): number => c.charCodeAt(0);
    return (
      part !== '' &&
      part !== '.' &&
      part !== '..' &&
      [...part].every((c) => code(c) >= 32 && !'\\:*?"<>|\x7f'.includes(c))
    );
  });

const invalid = (id: string, what: string): BitloomError =>
  new BitloomError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(id)} is no hub id: ${what}. Ids look like org/name, org/name@revision or org/name:Q4_K_M`,
    { id },
  );

function requireRepository(id: string, repository: string): void {
  const parts = repository.split('/');
  if (parts.length !== 2) throw invalid(id, 'it needs an organisation and a name with one slash between');
  for (const part of parts) {
    if (!NAME.test(part)) throw invalid(id, `${JSON.stringify(part)} is no name of a hub`);
  }
  if (repository.endsWith('.git')) throw invalid(id, 'the name ends in .git');
}

/** Reads an id. Without a revision it is `main`. Throws INVALID_ARGUMENT. */
export function parseHubId(id: string): HubId {
  const [, repository = '', at, revision = '', colon, choice = ''] =
    /^([^@:]*)(@([^:]*))?(:([\s\S]*))?$/.exec(id) ?? ([] as (string | undefined)[]);
  requireRepository(id, repository);
  if (at !== undefined && !(REVISION.test(revision) && isSafePath(revision) && revision.length <= 250)) {
    throw invalid(id, `${JSON.stringify(revision)} is no revision`);
  }
  if (colon !== undefined && !isSafePath(choice)) {
    throw invalid(id, `${JSON.stringify(choice)} is neither a file of a repository nor a quantisation`);
  }
  return { repository, revision: at === undefined ? 'main' : revision, ...(colon === undefined ? {} : { choice }) };
}

/** True for texts that have the form of a hub id. */
export function isHubId(text: string): boolean {
  try {
    parseHubId(text);
    return true;
  } catch {
    return false;
  }
}

/** The id as one writes it. */
export const formatHubId = ({ repository, revision, choice }: HubId): string =>
  `${repository}${revision === 'main' ? '' : `@${revision}`}${choice === undefined ? '' : `:${choice}`}`;
