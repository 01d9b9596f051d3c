/** A contender in a page of Chromium: isolated, so that threads are there; what runs in it is one of bench/pages. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { findChromium, launch, openPage, serve } from '../../tests/browser/page.ts';
import { Absent, type Options, type Workload } from '../adapter.ts';
import type { PageFace } from '../pages/page.ts';

const repository = process.env.BITLOOM_REPOSITORY!;
const peers = `${repository}bench/peers/node_modules`;

/** Names in the page. */
declare const start: PageFace['start'];
declare const run: PageFace['run'];

const requireFile = (path: string, reason: string): void => {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) throw new Absent(reason);
};

/** Options: page (one of bench/pages), and what that takes. */
export async function prepare(options: Options): Promise<Workload> {
  const chromium = findChromium();
  if (chromium === undefined) throw new Absent('there is no Chromium on the PATH');
  requireFile(`${repository}dist/web/bitloom.js`, 'dist/ is not built: npm run build');
  requireFile(`${peers}/@wllama`, 'peers are not installed: run `npm ci --ignore-scripts` in bench/peers');
  const folders = { '/dist/': `${repository}dist`, '/peers/': peers, '/models/': `${repository}bench/models` };
  const pages = `${peers}/.cache/bench/pages`;
  const site = await serve({ ...folders, '/pages/': pages }, { isolated: true });
  const browser = await launch(chromium);
  const page = await openPage(browser, `${site.address}/page?script=/pages/page.js`);
  const { workPerIteration, note } = await page.evaluate((given) => start(given), options);
  return {
    workPerIteration,
    note: `${note}, Chromium ${browser.version()}`,
    processes: () => descendants(process.pid),
    close: () => browser.close(),
    run: (iterations) => page.evaluate((count) => run(count), iterations),
  };
}

/** All processes that a process has started, itself included: Chromium's are children of children. Linux only; else none. */
function descendants(ancestor: number): number[] {
  const parents = new Map<number, number>();
  try {
    for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)))
      parents.set(Number(name), parentOf(name));
  } catch {
    return [];
  }
  const found = [ancestor];
  for (const parent of found) {
    for (const [child, its] of parents) if (its === parent) found.push(child);
  }
  return found;
}

/** Parent of a process; 0 for one that has just ended. */
function parentOf(name: string): number {
  try {
    // The name of the program, in brackets, may hold spaces: fields count from its end.
    return Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1]);
  } catch {
    return 0;
  }
}
