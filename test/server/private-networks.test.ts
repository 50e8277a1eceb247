// Which addresses strangers reach.

import { describe, expect, it } from "vitest";
import { publicAddressOf } from "../../src/server/private-networks.ts";

describe("publicAddressOf", () => {
  it.each([
    "127.0.0.1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.0.1",
    "169.254.1.1",
    "100.64.0.1",
    "::1",
    "fd00::1",
    "fe80::1%lo",
  ])("takes %s for private", (address) => {
    expect(publicAddressOf(address, [])).toBeNull();
  });

  it.each(["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"])(
    "takes %s for public",
    (address) => {
      expect(publicAddressOf(address, [])).toBe(address);
    },
  );

  it("looks at all of this machine's addresses where a listener is on all", () => {
    const own = ["127.0.0.1", "10.0.0.1", "2606:4700::1111", "fe80::1"];
    expect(publicAddressOf("0.0.0.0", own)).toBeNull();
    expect(publicAddressOf("::", own)).toBe("2606:4700::1111");
    expect(publicAddressOf("0.0.0.0", [...own, "1.1.1.1"])).toBe("1.1.1.1");
    expect(publicAddressOf("::", ["127.0.0.1", "::1"])).toBeNull();
  });
});
