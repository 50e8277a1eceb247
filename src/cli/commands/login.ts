// `duplexity login`: signs in to a server, keeps the sign-in, and makes it the current one. The ways to sign in are files
// of their own.

import { asDuplexityError, DuplexityError } from "../../protocol/errors.ts";
import { callApi } from "../api.ts";
import { dateOf, textOf } from "../api-answer.ts";
import { type CommandContext, readSettings, warn } from "../context.ts";
import { readTokenFrom } from "../credentials.ts";
import { DEFAULT_SERVER, readServer, SERVER_WANTED, type ServerAccess } from "../dial.ts";
import { LOGIN_FLAGS } from "../flags.ts";
import { EXIT_INTERRUPTED, rejectedBy, watchInterrupts } from "../interrupts.ts";
import { createLoginView, type LoginView } from "../output/login-view.ts";
import type { UserSettings } from "../settings.ts";
import type { SettingsValues } from "../settings-values.ts";
import type { SignIn } from "../sign-in/file.ts";
import { surroundings, whyNoBrowser } from "../sign-in/surroundings.ts";
import { parseServerUrl } from "../units.ts";

export async function run(context: CommandContext): Promise<number> {
  const { values, user } = await readSettings(context, "client", LOGIN_FLAGS);
  const ways = ["device", "noBrowser", "withToken"].filter((key) => values.isOn(key));
  if (ways.length > 1) {
    throw new DuplexityError(
      "DPX_USAGE",
      "Cannot sign in in two ways: --device, --no-browser and --with-token exclude each other",
    );
  }
  const server = await serverOf(context, values, user);
  const { stdout, stderr, env } = context;
  const view = createLoginView({
    ...{ stdout, stderr, env, noColor: values.isOn("noColor") },
    ...{ isJson: values.isOn("json"), wantsQr: values.isOn("qr") },
  });
  const interrupts = watchInterrupts();
  try {
    const signIn = values.isOn("withToken")
      ? await byToken(context, server, interrupts.first)
      : await byProvider(context, { server, values, view, signal: interrupts.first });
    const checked = await check(signIn, interrupts.first);
    const signIns = await user.signIns();
    await signIns.add(checked.signIn, interrupts.first);
    view.loggedIn({ ...checked.signIn, role: checked.role });
    if (env.DUPLEXITY_TOKEN) warn(context, "DUPLEXITY_TOKEN is set: commands show that token, not this sign-in");
    return 0;
  } catch (error) {
    if (interrupts.first.aborted) return EXIT_INTERRUPTED;
    throw error;
  } finally {
    interrupts.stop();
  }
}

async function serverOf(context: CommandContext, values: SettingsValues, user: UserSettings): Promise<string> {
  const [word] = context.words;
  const server = word === undefined ? readServer(values) : parseServerUrl(word);
  if (server === null) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot sign in to "${word}": it is not understood; wanted ${SERVER_WANTED}`,
      {
        hint: "duplexity login tunnel.example.com",
      },
    );
  }
  const stranger = word === undefined ? values.strangerOf("server") : null;
  if (stranger !== null) {
    // Its author could be after a password: the page would look like any sign-in.
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot sign in to ${server}: only ${stranger}, which was merely found here, names that server`,
      {
        hint: `duplexity login ${server}`,
      },
    );
  }
  return server ?? (await user.signIns()).current ?? DEFAULT_SERVER;
}

async function byToken(context: CommandContext, server: string, signal: AbortSignal): Promise<SignIn> {
  const { checkProtected } = await import("../sign-in/provider.ts");
  checkProtected(server);
  if (context.stdin.isTTY) context.stderr.write("Paste the token and press enter:\n");
  const token = await Promise.race([readTokenFrom(context.stdin), rejectedBy(signal)]);
  return { server, user: "", token, obtainedAt: Date.now(), expiresAt: null, renewal: null };
}

interface ProviderLogin {
  readonly server: string;
  readonly values: SettingsValues;
  readonly view: LoginView;
  readonly signal: AbortSignal;
}

async function byProvider(context: CommandContext, { server, values, view, signal }: ProviderLogin): Promise<SignIn> {
  const { findProvider } = await import("../sign-in/provider.ts");
  const why = values.isOn("noBrowser") ? null : whyNoBrowser(surroundings(context.env));
  // A phone that reads the QR code cannot come back to this machine's own address: it needs the code as well.
  const isAsked = values.isOn("device") || (values.isOn("qr") && !values.isOn("noBrowser"));
  const provider = await findProvider(server, signal);
  if (isAsked || why !== null) {
    const { signInByDevice } = await import("../sign-in/device.ts");
    const note = isAsked ? null : why;
    return signInByDevice(provider, { onCode: (code) => view.device(code, note), signal });
  }
  const { signInByBrowser } = await import("../sign-in/browser.ts");
  return signInByBrowser(provider, {
    signal,
    onUrl: (url) => {
      view.authorize(url, !values.isOn("noBrowser"));
      if (!values.isOn("noBrowser")) void openBrowser(url, view);
    },
  });
}

/** Not waited for: the browser's answer comes on its own way, and the address is on the screen. */
async function openBrowser(url: string, view: LoginView): Promise<void> {
  try {
    const { default: open } = await import("open");
    await open(url);
  } catch (error) {
    view.noBrowser(asDuplexityError(error).message);
  }
}

/** Asks the server itself who that is now: a token that it does not take is not kept. */
async function check(signIn: SignIn, signal: AbortSignal): Promise<{ signIn: SignIn; role: string }> {
  const { server, token, renewal } = signIn;
  const access: ServerAccess = { server, isDefault: false, token, isSignedIn: false, key: undefined };
  const { user, role, expiresAt } = await callApi(access, { path: "/api/whoami", doing: "ask who I am", signal });
  const ends = renewal === null ? (dateOf(expiresAt)?.getTime() ?? null) : signIn.expiresAt;
  return { signIn: { ...signIn, user: textOf(user), expiresAt: ends }, role: textOf(role) };
}
