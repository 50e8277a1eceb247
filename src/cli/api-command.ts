// What every command that asks the API begins with: settings, server, who asks, and how the answer is shown.

import { type CommandContext, readSettings } from "./context.ts";
import { readAccess, type ServerAccess } from "./dial.ts";
import type { Flag } from "./flags.ts";
import { type ApiView, createApiView } from "./output/api-view.ts";
import type { SettingsValues } from "./settings-values.ts";

export interface ApiCommand {
  readonly values: SettingsValues;
  readonly access: ServerAccess;
  readonly show: ApiView;
}

export async function openApi(context: CommandContext, flags: readonly Flag[]): Promise<ApiCommand> {
  const { values, user } = await readSettings(context, "client", flags);
  const access = await readAccess(context, values, user);
  const { stdout, stderr, env } = context;
  const show = createApiView({ stdout, stderr, env, noColor: values.isOn("noColor"), isJson: values.isOn("json") });
  return { values, access, show };
}
