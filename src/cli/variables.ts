// Which environment variables are ours, and which were perhaps meant to be. Reads no values.

import { ALL_FLAGS, variableOf } from "./flags.ts";
import { nearest } from "./nearest.ts";

const PREFIX = "DUPLEXITY_";
/** The tests' own. */
const TEST_PREFIX = "DUPLEXITY_TEST_";
/** More edits make another word, and somebody else's program may have variables that begin like ours. */
const MAX_EDITS = 2;

/** Those that no flag has. */
const OTHERS: readonly string[] = [
  ...["DUPLEXITY_TOKEN", "DUPLEXITY_ADMIN_TOKEN", "DUPLEXITY_CONFIG_DIR", "DUPLEXITY_RUNTIME_DIR"],
  "DUPLEXITY_DETACHED_LOG",
  "DUPLEXITY_CLUSTER_SECRET",
  "DUPLEXITY_OIDC_CLIENT_SECRET",
];

/** A sentence for each variable that nobody reads and that is a typing error away from one that is read. */
export function misspeltVariables(env: NodeJS.ProcessEnv): readonly string[] {
  const read = ALL_FLAGS.filter((flag) => !flag.isAction).map((flag) => variableOf(flag.key));
  const known = new Set([...read, ...OTHERS]);
  const sentences: string[] = [];
  for (const name of Object.keys(env)) {
    // Windows does not tell upper from lower case.
    const written = process.platform === "win32" ? name.toUpperCase() : name;
    if (!written.startsWith(PREFIX) || written.startsWith(TEST_PREFIX) || known.has(written)) continue;
    const meant = nearest(written, [...known], MAX_EDITS);
    if (meant !== null) sentences.push(`nothing reads the variable ${JSON.stringify(name)}; did you mean ${meant}?`);
  }
  return sentences;
}
