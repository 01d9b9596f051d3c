/** A file of the hub that is read in place, by ranges: where no cache has room for it. */
import type { BitloomError } from '../../ir/error.ts';
import type { OpenFile } from '../file-set.ts';
import { networkError } from './failure.ts';
import type { HubId } from './hub-id.ts';
import { fileAddress, type RemoteFile } from './listing.ts';
import { type Answer, ask, Patience } from './request.ts';
import type { HubLine } from './settings.ts';

/** Opens a file without fetching it. Its ranges go on where a line broke; no hash can be checked. */
export function openRemote(line: HubLine, id: HubId, commit: string, file: RemoteFile): OpenFile {
  const address = fileAddress(line, id, commit, file.path);
  const noRanges = (): BitloomError =>
    networkError(`${file.path}: the server sends no ranges, so the file cannot be read in place`, { address });
  return {
    name: address,
    sizeBytes: file.sizeBytes,
    async readInto(target, offset, signal) {
      const end = Math.min(offset + target.length, file.sizeBytes);
      const patience = new Patience(line, signal);
      let at = offset;
      const fill = async ({ status, pieces }: Answer): Promise<void> => {
        if (status !== 206 && (at > 0 || end < file.sizeBytes)) throw noRanges();
        for await (const piece of pieces) {
          const wanted = piece.subarray(0, end - at);
          target.set(wanted, at - offset);
          at += wanted.length;
          patience.renew();
        }
        if (at < end) throw networkError(`${file.path}: the line broke at byte ${at}`, { isPassing: true });
      };
      while (at < end) {
        try {
          await ask(line, { address, what: file.path, offset: at, end }, fill, signal);
        } catch (error) {
          await patience.wait(error);
        }
      }
      return Math.max(0, end - offset);
    },
    async close() {},
  };
}
