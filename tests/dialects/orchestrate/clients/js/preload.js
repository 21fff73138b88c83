// Loaded before the client's own tests. They make one client without naming a host, and they wait
// up to a minute for a search index that was eventual; ours is not.
const client = require(process.env.ORCHESTRATE_CLIENT);
client.ApiEndPoint = process.env.ORCHESTRATE_API_ENDPOINT;

const waits = new Set([3000, 60000]);
const setTimeoutOfNode = global.setTimeout;
global.setTimeout = (callback, ms, ...rest) =>
  setTimeoutOfNode(callback, waits.has(ms) ? 0 : ms, ...rest);
