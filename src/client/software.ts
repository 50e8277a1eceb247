// What this client calls itself to the server.

import { PACKAGE_VERSION } from "../protocol/index.ts";

/** `duplexity/0.1.0 node/20.20.2 linux-x64` */
export const SOFTWARE = `duplexity/${PACKAGE_VERSION} node/${process.versions.node} ${process.platform}-${process.arch}`;
