// The board of nodes, as a node without the backend's role reads and writes it: by a backend node.

import { fields as checked } from "../../protocol/index.ts";
import type { BackendLink } from "../calls/index.ts";
import { MAX_LINE_CHARS } from "./node-line.ts";
import { type BoardRead, MAX_NODES, type PresenceBoard } from "./shared-presence.ts";

export class RemoteBoard implements PresenceBoard {
  readonly #link: Pick<BackendLink, "call">;

  constructor(link: Pick<BackendLink, "call">) {
    this.#link = link;
  }

  /** The backend knows whose line it is: nobody can write another node's. */
  async write(_nodeId: string, line: string): Promise<BoardRead> {
    return readBoard(await this.#link.call("beat", { line }));
  }
}

function readBoard(value: unknown): BoardRead {
  const answer = checked.readObject(value, "answer");
  return {
    there: checked.field(answer, "there", checked.arrayReader(readLine, 0, MAX_NODES)),
    left: checked.field(answer, "left", checked.arrayReader(checked.readWord, 0, MAX_NODES)),
  };
}

/** What a line says is read by whoever knows nodes. */
export function readLine(value: unknown, path: string): string {
  if (typeof value === "string" && value.length <= MAX_LINE_CHARS) return value;
  return checked.invalid(path, `at most ${MAX_LINE_CHARS} characters`);
}
