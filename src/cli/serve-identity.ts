// What `serve` was told of who may come in, and where that is kept. Opens no store.

import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { DuplexityError } from "../protocol/errors.ts";
import type { AccountsOptions, ClusterServeOptions, IdentityOptions, OutsideProviderOptions } from "../server/index.ts";
import { MAX_CLUSTER_SECRETS, MIN_SECRET_CHARS } from "../server/peer/peer-proof.ts";
import { parseRedisUrl } from "../server/redis/redis-url.ts";
import { type CommandContext, warn } from "./context.ts";
import { readSecret, readSecrets, type SecretOptions } from "./credentials.ts";
import type { SettingsValues } from "./settings-values.ts";
import { parseServerUrl } from "./units.ts";

/** @throws {DuplexityError} `DPX_USAGE` if the flags exclude each other, or a secret's file cannot be read. */
export function readIdentity(context: CommandContext, values: SettingsValues): IdentityOptions {
  const place = { what: "admin token", fileKey: "adminTokenFile", variable: "DUPLEXITY_ADMIN_TOKEN" };
  const adminToken = readSecret(values, secretFrom(context, place));
  const outside = readOutside(context, values);
  if (!values.isOn("noAuth")) {
    if (values.isOn("oidcOnly") && outside === undefined) {
      throw usage("Cannot start with --oidc-only: there is no other provider", "Name it: --oidc-issuer URL");
    }
    return {
      kind: "accounts",
      store: readStore(context, values),
      hasPasswords: !values.isOn("oidcOnly"),
      ...(adminToken === undefined ? {} : { adminToken }),
      ...(outside === undefined ? {} : { outside }),
    };
  }
  const other = adminToken !== undefined ? "an admin token" : outside !== undefined ? "--oidc-issuer" : null;
  if (other !== null) {
    throw usage(
      `Cannot start with both --no-auth and ${other}: they exclude each other`,
      "Leave one of them out; values also come from DUPLEXITY_… variables.",
    );
  }
  checkFolder(values);
  return { kind: "no-auth" };
}

function readStore(context: CommandContext, values: SettingsValues): AccountsOptions["store"] {
  const folder = values.text("data");
  const redis = readRedis(values);
  checkFolder(values);
  if (values.list("backend").length > 0) return { kind: "backend" };
  if (redis !== undefined) return { kind: "redis", url: redis };
  return { kind: "folder", path: folder === undefined ? defaultDataFolder(context.env) : resolve(context.cwd, folder) };
}

/** @throws {DuplexityError} `DPX_USAGE` if nothing would be kept in the folder that is named. */
function checkFolder(values: SettingsValues): void {
  const folder = values.text("data");
  const other = values.list("backend").length > 0 ? "--backend" : values.text("redis") !== undefined ? "--redis" : null;
  // By environment an image or a unit names a folder for all ways to run it.
  if (other === null || folder === undefined || values.placeOf("data") === "DUPLEXITY_DATA") return;
  const message = `Cannot keep accounts in --data ${folder}: with ${other} they are kept there`;
  throw usage(message, `Leave out --data, or ${other}.`);
}

/** Its error repeats nothing of the text, in which there may be a password. */
function readRedis(values: SettingsValues): string | undefined {
  const url = values.text("redis");
  if (url === undefined) return undefined;
  const { password } = parseRedisUrl(url);
  // What stands on a command line is for every user of the machine to read.
  if (password === undefined || values.placeOf("redis") !== "--redis") return url;
  throw usage("Cannot take a password from --redis: command lines are public", "Set DUPLEXITY_REDIS instead.");
}

/**
 * The nodes that this one is to act with; undefined for a node alone.
 *
 * @throws {DuplexityError} `DPX_USAGE` if half of it is missing.
 */
export function readCluster(context: CommandContext, values: SettingsValues): ClusterServeOptions | undefined {
  const place = { what: "cluster secret", fileKey: "clusterSecretFile", variable: "DUPLEXITY_CLUSTER_SECRET" };
  const secrets = readSecrets(values, secretFrom(context, place), {
    most: MAX_CLUSTER_SECRETS,
    leastChars: MIN_SECRET_CHARS,
  });
  const url = "an http:// or https:// address without a path";
  const nodeUrl = values.parse("nodeUrl", url, parseServerUrl);
  const nodePublicUrl = values.parse("nodePublicUrl", url, parseServerUrl);
  const redis = readRedis(values);
  const backends = values.list("backend").flatMap((text) => text.split(",").filter((url) => url !== ""));
  if (secrets.length === 0) {
    if (redis !== undefined && values.isOn("noAuth")) {
      throw usage(
        "Cannot use --redis with --no-auth: there are no accounts to keep in it, and no other nodes to share names with",
        "Leave it out, or add --cluster-secret-file FILE, the same for all nodes.",
      );
    }
    if (nodeUrl === undefined && nodePublicUrl === undefined && backends.length === 0) return undefined;
    throw usage(
      "Cannot join other nodes: the cluster has no secret",
      "Add --cluster-secret-file FILE, the same for all.",
    );
  }
  return {
    ...{ secrets, backends },
    ...(redis === undefined ? {} : { redisUrl: redis }),
    ...(nodeUrl === undefined ? {} : { nodeUrl }),
    ...(nodePublicUrl === undefined ? {} : { nodePublicUrl }),
  };
}

/** The platform's folder for what programs keep: XDG_DATA_HOME, Application Support, LOCALAPPDATA. */
export function defaultDataFolder(env: NodeJS.ProcessEnv): string {
  const home = env.HOME || homedir();
  if (process.platform === "darwin") return join(home, "Library", "Application Support", "duplexity-server");
  if (process.platform === "win32") return join(env.LOCALAPPDATA || join(home, "AppData", "Local"), "duplexity-server");
  const data = env.XDG_DATA_HOME ?? "";
  // The XDG base directory specification: a relative path is to be ignored.
  return join(isAbsolute(data) ? data : join(home, ".local", "share"), "duplexity-server");
}

function secretFrom(
  context: CommandContext,
  place: Pick<SecretOptions, "what" | "fileKey" | "variable">,
): SecretOptions {
  const { env, cwd } = context;
  return { ...place, env, cwd, warn: (message) => warn(context, message) };
}

function readOutside(context: CommandContext, values: SettingsValues): OutsideProviderOptions | undefined {
  const issuer = values.parse("oidcIssuer", "an https:// address", parseIssuer);
  const clientId = values.text("oidcClientId");
  const place = { what: "client secret", fileKey: "oidcClientSecretFile", variable: "DUPLEXITY_OIDC_CLIENT_SECRET" };
  const clientSecret = readSecret(values, secretFrom(context, place)) ?? null;
  if (issuer === undefined && clientId === undefined) return undefined;
  if (issuer === undefined || clientId === undefined) {
    const missing = issuer === undefined ? "--oidc-issuer" : "--oidc-client-id";
    throw usage(`Cannot use another provider: ${missing} is missing, both are needed`, "See duplexity serve --help.");
  }
  return {
    ...{ issuer, clientId, clientSecret },
    allowedDomains: values.list("oidcDomain"),
    allowedGroups: values.list("oidcGroup"),
    adminClaim: values.parse("oidcAdmin", "a claim and its value, such as groups=tunnel-admins", parseClaim) ?? null,
  };
}

/** As it was written: an issuer is compared to the letter (OpenID Connect Discovery §4.3). */
function parseIssuer(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const { protocol } = new URL(text);
  return protocol === "https:" || protocol === "http:" ? text : null;
}

function parseClaim(text: string): string | null {
  return /^[^=\s]+=.+$/.test(text) ? text : null;
}

function usage(message: string, hint: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", message, { hint });
}
