// How people write durations, sizes, addresses and port ranges in flags. Pure:
// text in, value out, null for what is none; the caller knows whose text it is.

const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["b", 1],
  ["kib", 1_024],
  ["mib", 1_024 ** 2],
  ["gib", 1_024 ** 3],
  ["kb", 1_000],
  ["mb", 1_000_000],
  ["gb", 1_000_000_000],
]);

/** What a timer can wait at most (2^31-1 ms); longer ones would fire at once. */
const MAX_TIMER_MS = 2_147_483_647;
/** A hundred years. */
const MAX_DURATION_MS = 36_525 * 86_400_000;
const MAX_PORT = 65_535;

/** `500ms`, `30s`, `1.5m`, `2h`, `1d` or `0`, in milliseconds: whole, at most 2^31-1, which a timer can wait. */
export function parseDuration(text: string): number | null {
  const milliseconds = parseLongDuration(text);
  return milliseconds !== null && milliseconds <= MAX_TIMER_MS ? milliseconds : null;
}

/** The same for what no timer waits for, at most a hundred years. */
export function parseLongDuration(text: string): number | null {
  if (text === "0") return 0;
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim().toLowerCase());
  const unit = DURATION_UNITS.get(match?.[2] ?? "");
  if (match === null || unit === undefined) return null;
  const milliseconds = Math.round(Number(match[1]) * unit);
  return milliseconds <= MAX_DURATION_MS ? milliseconds : null;
}

/** `65536`, `64KiB`, `16MiB`, `10MB`, in bytes. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b|)$/.exec(text.trim().toLowerCase());
  const unit = SIZE_UNITS.get(match?.[2] ?? "?");
  if (match === null || unit === undefined) return null;
  const bytes = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** A whole number of things, `10000` or `10_000`. */
export function parseCount(text: string): number | null {
  if (!/^\d+(?:_\d+)*$/.test(text.trim())) return null;
  const count = Number(text.trim().replaceAll("_", ""));
  return Number.isSafeInteger(count) ? count : null;
}

/** `8080`, `127.0.0.1:8080`, `[::1]:8080`, `:8080` (every address). A port alone is on 127.0.0.1. */
export function parseListenAddress(text: string): { host: string; port: number } | null {
  const match = /^(?:(\[[0-9a-f:.%a-z]+\]|[^\s:[\]]*):)?(\d{1,5})$/i.exec(text.trim());
  const port = Number(match?.[2]);
  if (match === null || port > MAX_PORT) return null;
  const host = match[1];
  if (host === undefined) return { host: "127.0.0.1", port };
  if (host === "" || host === "*") return { host: "::", port };
  return { host: host.replace(/^\[|\]$/g, ""), port };
}

/** `20000-20099` or one port. */
export function parsePortRange(text: string): { from: number; to: number } | null {
  const match = /^(\d{1,5})(?:\s*-\s*(\d{1,5}))?$/.exec(text.trim());
  if (match === null) return null;
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  return from >= 1 && from <= to && to <= MAX_PORT ? { from, to } : null;
}

/** Hosts that are this machine: there, an address without a scheme is http. */
const LOOPBACK_HOST = /^(?:localhost|.+\.localhost|127(?:\.\d+){3}|\[::1\])(?::|\/|$)/i;

/**
 * `http://…` or `https://…` without path, query or user; without a scheme https, on this machine http. Answers the
 * origin.
 */
export function parseServerUrl(text: string): string | null {
  const trimmed = text.trim();
  // A port alone: as a host it would be the IPv4 address 0.0.31.144.
  if (/^\d+$/.test(trimmed)) return null;
  const scheme = LOOPBACK_HOST.test(trimmed) ? "http" : "https";
  const candidate = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `${scheme}://${trimmed}`;
  if (!URL.canParse(candidate)) return null;
  const url = new URL(candidate);
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  const isBare =
    url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === "";
  return isBare && url.hostname !== "" ? url.origin : null;
}
