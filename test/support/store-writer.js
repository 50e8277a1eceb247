// A process of its own that writes into a store's folder until it is killed: node store-writer.js FOLDER SEED
// First prints what it found, {"found":{"w0":{"code":…,"count":…,"log":…},…}}, then a line for each confirmed step:
// {"writer":"w0","step":5}. Writes those lines at once, so that a kill leaves what was confirmed.

import { writeSync } from "node:fs";
import { FolderStore } from "../../dist/server/store/folder-store.js";

const WRITERS = 6;
const STEPS = 4;
/** Small, so that it is rewritten often. */
const COMPACT_BYTES = 20_000;

const [path = "", seed = "1"] = process.argv.slice(2);
let state = Number(seed) >>> 0;

const store = await FolderStore.open({ path, compactBytes: COMPACT_BYTES });
const writers = Array.from({ length: WRITERS }, (_, index) => `w${index}`);
const found = new Map();
for (const writer of writers) {
  const codes = await store.list(`code/${writer}/`);
  const [last = 0] = (await store.readLog(`log-${writer}`, 1)).map(({ round }) => round);
  found.set(writer, {
    codes: codes.map(({ value }) => value.round),
    count: (await store.get(`count/${writer}`))?.round ?? 0,
    log: last,
  });
}
print({ found: Object.fromEntries(found) });
await Promise.all(writers.map(write));

/** Goes on with the step that comes after what was found, round after round. */
async function write(/** @type {string} */ writer) {
  const { codes, count, log } = found.get(writer);
  let step = log * STEPS + (count > log ? (codes.length > 0 ? 2 : 3) : codes.length);
  for (;;) {
    const round = Math.floor(step / STEPS) + 1;
    const value = { round, padding: "x".repeat(random(3_000)) };
    const key = `code/${writer}/${round}`;
    if (step % STEPS === 0) await store.put(key, value);
    else if (step % STEPS === 1) await store.update(`count/${writer}`, () => value);
    else if (step % STEPS === 2) await store.take(key);
    else await store.append(`log-${writer}`, value);
    step++;
    print({ writer, step });
  }
}

function print(/** @type {unknown} */ line) {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

function random(/** @type {number} */ below) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state % below;
}
