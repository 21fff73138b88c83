// Runs the verifier of verify.html outside a browser: node page.mjs verify.html BUNDLE... prints one
// line of JSON for each bundle.
import { openAsBlob, readFileSync } from "node:fs";
import vm from "node:vm";

const [page, ...bundles] = process.argv.slice(2);
const source = /<script>\n([\s\S]*?)<\/script>/.exec(readFileSync(page, "utf8"))[1];
const context = vm.createContext({
  TextEncoder, TextDecoder, Uint8Array, Int32Array, DataView, BigInt, Blob, btoa, atob, crypto, JSON,
});
vm.runInContext(source + "\nglobalThis.verifyBundle = verifyBundle; globalThis.Wrong = Wrong;", context);
for (const bundle of bundles) {
  const started = performance.now();
  let told;
  try {
    const result = await context.verifyBundle(await openAsBlob(bundle), "");
    told = { holds: true, events: result.events, entries: result.entries, size: result.size,
      erased: result.erased, unproven: result.unproven, omitted: result.omitted };
  } catch (error) {
    told = { holds: false, wrong: error instanceof context.Wrong, error: String(error && error.stack) };
  }
  console.log(JSON.stringify({ ...told, ms: performance.now() - started }));
}
