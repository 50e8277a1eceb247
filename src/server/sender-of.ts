// Whom an address stands for where shares and attempts are counted.

/**
 * Whom `address` counts for: an IPv4 address itself, and the /64 of an IPv6 address, since one customer
 * has all of that. `address` is as node writes it, without a zone and not IPv4-mapped.
 */
export function senderOf(address: string): string {
  if (!address.includes(":")) return address;
  const [left = "", right = ""] = address.split("::");
  const groups = left === "" ? [] : left.split(":");
  const missing = address.includes("::") ? 8 - groups.length - (right === "" ? 0 : right.split(":").length) : 0;
  for (let at = 0; at < missing; at++) groups.push("0");
  if (right !== "") groups.push(...right.split(":"));
  return `${groups.slice(0, 4).join(":")}::/64`;
}
