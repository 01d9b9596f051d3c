#!/usr/bin/env node
// Starts the command line; everything else lives in src/cli. Where Node can keep compiled code
// between runs (22.8 and newer), it does: a short run is mostly start.
import * as nodeModule from 'node:module';

nodeModule.enableCompileCache?.();
const { main } = await import('../dist/bundle/cli.js');
process.exitCode = await main(process.argv.slice(2));
