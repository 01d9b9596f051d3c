import { openPage, findChromium } from '/work/main/tests/browser/page.ts';
import { build } from 'esbuild';
const r=await build({entryPoints:['/tmp/wx/br/entry.ts'],bundle:true,write:false,format:'esm',conditions:['bitloom-source','browser'],absWorkingDir:'/work/main'});
for(const iso of [true,false]){ const s=await openPage(findChromium()!,r.outputFiles[0]!.text,iso); for(const th of [1,2,3]) { console.log(iso,th,JSON.stringify(await Promise.race([s.page.evaluate(`go(${th},${iso})`),new Promise(r=>setTimeout(r,15000,'TIMEOUT'))]))); } await s.close(); }
