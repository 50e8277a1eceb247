import { describe, expect, it } from "vitest";
import { type Surroundings, whyNoBrowser } from "../../src/cli/sign-in/surroundings.ts";

function here(more: Partial<Surroundings>): Surroundings {
  return { env: { DISPLAY: ":0" }, platform: "linux", exists: () => false, ...more };
}

describe("whyNoBrowser", () => {
  it.each([
    ["an SSH session", here({ env: { DISPLAY: ":0", SSH_CONNECTION: "1 2 3 4" } }), "this is an SSH session"],
    ["SSH to a Mac", here({ platform: "darwin", env: { SSH_TTY: "/dev/ttys1" } }), "this is an SSH session"],
    ["a Docker container", here({ exists: (path) => path === "/.dockerenv" }), "this is a container"],
    ["a Podman container", here({ env: { container: "podman" } }), "this is a container"],
    ["a remote workspace", here({ env: { DISPLAY: ":0", CODESPACES: "true" } }), "this is a remote workspace"],
    ["a machine without a screen", here({ env: {} }), "there is no display here"],
  ])("says why in %s", (_what, surroundings, why) => {
    expect(whyNoBrowser(surroundings)).toBe(why);
  });

  it.each([
    ["X11", here({})],
    ["Wayland", here({ env: { WAYLAND_DISPLAY: "wayland-0" } })],
    ["a Mac", here({ platform: "darwin", env: {} })],
    ["Windows", here({ platform: "win32", env: {} })],
    ["Linux inside Windows", here({ env: { WSL_DISTRO_NAME: "Debian" } })],
  ])("finds nothing against a browser on %s", (_what, surroundings) => {
    expect(whyNoBrowser(surroundings)).toBeNull();
  });
});
