// The routes of a node that takes no visitors: whoever comes for a pipe is told so.

import { DuplexityError } from "../protocol/index.ts";
import type { Routes } from "./routes.ts";

export const NO_VISITORS: Routes = {
  locate: (hostname) => Promise.reject(misdirected(hostname)),
  open: (route) => {
    throw misdirected(route.hostname);
  },
  changed: (hostname) => Promise.reject(misdirected(hostname)),
  report: () => {},
};

/** RFC 9110 §15.5.20. */
function misdirected(hostname: string): DuplexityError {
  return new DuplexityError("DPX_MISDIRECTED", `Cannot serve "${hostname}": this node has not the role proxy`);
}
