// The store of nodes without the backend's role, at the backend node that they call: what a RemoteStore asks is done in
// the store of this one.

import { fields as checked, DuplexityError } from "../../protocol/index.ts";
import type { CallHandler } from "../calls/index.ts";
import { MAX_KEYS_IN_CALL, MAX_LISTED, type PutOptions, type Store, type Value } from "./store.ts";

/** What can be asked; `swap` is one attempt of an update. */
export const STORE_STEPS = ["get", "getAll", "put", "swap", "take", "delete", "list", "append", "readLog"] as const;

/** Somebody else was faster: the update has changed nothing. */
class Overtaken extends Error {
  readonly found: Value | null;

  constructor(found: Value | null) {
    super("others were faster");
    this.found = found;
  }
}

export function createStoreCall(store: Store): CallHandler {
  return async (body) => {
    const step = checked.field(body, "step", checked.oneOfReader(STORE_STEPS));
    if (step === "getAll") {
      return {
        values: await store.getAll(checked.field(body, "keys", checked.arrayReader(readText, 0, MAX_KEYS_IN_CALL))),
      };
    }
    const key = checked.field(body, "key", readText);
    switch (step) {
      case "get":
        return { value: await store.get(key) };
      case "put":
        await store.put(key, valueIn(body, "value"), optionsIn(body));
        return {};
      case "swap":
        return swap(store, key, body);
      case "take":
        return { value: await store.take(key) };
      case "delete":
        return { isDeleted: await store.delete(key) };
      case "list":
        return { entries: await store.list(key) };
      case "append":
        await store.append(key, valueIn(body, "value"));
        return {};
      case "readLog":
        return {
          entries: await store.readLog(key, checked.field(body, "limit", checked.integerReader(0, MAX_LISTED))),
        };
    }
  };
}

async function swap(store: Store, key: string, body: checked.Fields): Promise<unknown> {
  const expected = JSON.stringify(valueIn(body, "expected"));
  const value = valueIn(body, "value");
  const change = (old: Value | null): Value | null => {
    if (JSON.stringify(old) !== expected) throw new Overtaken(old);
    return value;
  };
  try {
    return { isDone: true, value: await store.update(key, change, optionsIn(body)) };
  } catch (error) {
    if (error instanceof Overtaken) return { isDone: false, value: error.found };
    throw error;
  }
}

/** What has come as JSON is a value; how large it may be the store says. */
function valueIn(body: checked.Fields, name: string): Value {
  return checked.field(body, name, (value, path) => (isValue(value) ? value : checked.invalid(path, "there")));
}

export function isValue(value: unknown): value is Value {
  return value !== undefined;
}

function optionsIn(body: checked.Fields): PutOptions {
  return checked.optionalField(body, "ttlMs", (value, path) =>
    typeof value === "number" ? value : checked.invalid(path, "a number"),
  );
}

function readText(value: unknown): string {
  if (typeof value === "string") return value;
  throw new DuplexityError("DPX_STORE", "Cannot use the store: the key is no text");
}
