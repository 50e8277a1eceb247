// To which of a Redis Cluster's 16,384 slots a key belongs. Pure.

/** @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags */
export function slotOf(key: string): number {
  return crc16(Buffer.from(taggedPart(key))) % 16_384;
}

/** Between the first `{` and the next `}`, unless that is nothing. */
function taggedPart(key: string): string {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  return close > open + 1 ? key.slice(open + 1, close) : key;
}

/** CRC-16/XMODEM: polynomial 0x1021, start 0. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc;
}
