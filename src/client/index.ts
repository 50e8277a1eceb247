// The client as a library: `forward()` opens a tunnel. It prints nothing and never ends the process.

export type * from "./tunnel.ts";
