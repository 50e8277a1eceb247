// `duplexity logout`: ends a sign-in on the server and forgets it here, also when the server cannot be reached.

import { asDuplexityError, DuplexityError } from "../../protocol/errors.ts";
import { type CommandContext, readSettings, warn } from "../context.ts";
import { readServer, SERVER_WANTED } from "../dial.ts";
import { LOGOUT_FLAGS } from "../flags.ts";
import { lookOf } from "../output/style.ts";
import { parseServerUrl } from "../units.ts";

export async function run(context: CommandContext): Promise<number> {
  const { values, user } = await readSettings(context, "client", LOGOUT_FLAGS);
  const signIns = await user.signIns();
  const [word] = context.words;
  const named = word === undefined ? readServer(values) : parseServerUrl(word);
  if (named === null) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot sign out of "${word}": it is not understood; wanted ${SERVER_WANTED}`,
    );
  }
  const server = named ?? signIns.current;
  const signIn = server === null ? null : signIns.find(server);
  if (signIn === null) {
    const others = signIns.all.map((each) => each.server).join(", ");
    throw new DuplexityError(
      "DPX_AUTH_REQUIRED",
      `Cannot sign out${server === null ? "" : ` of ${server}`}: you are not signed in there`,
      {
        hint: others === "" ? "There is no sign-in on this machine." : `You are signed in to ${others}`,
      },
    );
  }
  await signIns.remove(signIn.server, async (newest) => {
    const { revoke } = await import("../sign-in/renew.ts");
    await revoke(newest).catch((error: unknown) => {
      const { message } = asDuplexityError(error);
      warn(context, `forgotten here, but not ended on the server: ${message}`);
    });
  });
  const { palette } = lookOf(context.stdout, { env: context.env, noColor: values.isOn("noColor") });
  context.stdout.write(`${palette.good("✔")} signed out of ${signIn.server}\n`);
  const left = signIns.all.at(-1)?.server;
  if (left !== undefined && signIns.current === null) {
    context.stderr.write(
      `No server is current now; for one of the others: --server ${left}, or duplexity login ${left}\n`,
    );
  }
  return 0;
}
