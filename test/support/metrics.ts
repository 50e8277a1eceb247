// A node's /metrics as numbers. Prometheus's text format, as far as nodes use it.

/** Each line that has no label but one: `duplexity_clients`, `duplexity_visitor_connections{protocol="http"}`. */
export async function readMetrics(internalPort: number): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${internalPort}/metrics`);
  const values = new Map<string, number>();
  for (const line of (await answer.text()).split("\n")) {
    const at = line.lastIndexOf(" ");
    if (!line.startsWith("#") && at > 0) values.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return values;
}
