// A disk that fails when a test says so: the real files' methods, with what goes before them or instead.

import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { vi } from "vitest";
import type { Stage } from "../../support/stage.ts";

/** What all open files of this process have in common. */
export async function fileMethods(stage: Stage): Promise<FileHandle> {
  const file = await open(join(await stage.folder("methods"), "file"), "w");
  const methods: FileHandle = Object.getPrototypeOf(file);
  await file.close();
  stage.defer(() => vi.restoreAllMocks());
  return methods;
}

/** As the system reports it: `ENOSPC: no space left on device, write`. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
