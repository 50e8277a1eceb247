// What this server calls itself to its clients.

import { PACKAGE_VERSION } from "../protocol/index.ts";

/** `duplexity/0.1.0 node/20.20.2` */
export const SOFTWARE = `duplexity/${PACKAGE_VERSION} node/${process.versions.node}`;
