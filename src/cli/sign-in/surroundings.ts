// Whether a browser can be opened where this runs, so that its answer comes back to this machine. Looks only; opens none.

import { existsSync } from "node:fs";

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
  /** Whether a file is there. */
  readonly exists: (path: string) => boolean;
}

/** Files that containers have and machines do not. */
const CONTAINER_FILES = ["/.dockerenv", "/run/.containerenv"];

/** Why no browser of the person's can be reached from here, as the rest of a sentence; null: one can. */
export function whyNoBrowser(here: Surroundings): string | null {
  const { env, platform } = here;
  if (env.SSH_CONNECTION || env.SSH_CLIENT || env.SSH_TTY) return "this is an SSH session";
  if (env.CODESPACES || env.REMOTE_CONTAINERS || env.GITPOD_WORKSPACE_ID) return "this is a remote workspace";
  if (platform !== "linux") return null;
  if (env.container || CONTAINER_FILES.some(here.exists)) return "this is a container";
  // Windows' own browser comes back to 127.0.0.1 of its Linux.
  if (env.WSL_DISTRO_NAME) return null;
  return env.DISPLAY || env.WAYLAND_DISPLAY ? null : "there is no display here";
}

/** Where this process runs. */
export function surroundings(env: NodeJS.ProcessEnv): Surroundings {
  return { env, platform: process.platform, exists: existsSync };
}
