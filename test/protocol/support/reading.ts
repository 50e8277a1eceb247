// The simplest uses of a session: a stream opened, and an acceptor that reads whatever it is opened.

import type { Session, Stream } from "../../../src/protocol/index.ts";
import { REQUEST } from "./session-pair.ts";
import { StreamEnd } from "./stream-end.ts";

/** Accepts each stream and reads what comes; ends when the peer ends. */
export function reading() {
  const ends: StreamEnd[] = [];
  const onOpen = (stream: Stream): void => {
    const end = new StreamEnd(`acceptor's end of ${stream.id}`, stream.id * 2 + 1, stream.id * 2);
    end.stream = stream;
    stream.handler = end;
    end.onEvent = (event) => event === "end" && end.end();
    ends.push(end);
    stream.accept();
  };
  return { ends, onOpen };
}

export function openOn(session: Session): StreamEnd {
  const end = new StreamEnd("opener's end", 2, 3);
  end.stream = session.open(REQUEST, end);
  return end;
}
