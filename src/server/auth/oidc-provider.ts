// The library that speaks OpenID Connect, loaded without its word on Node 20. Adds nothing to it.

/** What it says as soon as it is imported by a Node older than 22; our own tests run it on Node 20.19 too. */
const RUNTIME_WARNING = "Unsupported runtime";

const { errors, interactionPolicy, Provider } = await withoutWarning(() => import("oidc-provider"), RUNTIME_WARNING);

export { errors, interactionPolicy, Provider };

/** Runs `load` while console.warn leaves out what contains `words`. */
async function withoutWarning<T>(load: () => Promise<T>, words: string): Promise<T> {
  const { warn } = console;
  console.warn = (...what: unknown[]) => {
    if (!String(what[0]).includes(words)) warn(...what);
  };
  try {
    return await load();
  } finally {
    console.warn = warn;
  }
}
