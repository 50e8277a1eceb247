import { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { VisitorInput } from "../../../src/server/proxy/visitor-input.ts";

class Input extends VisitorInput {
  readonly chunks: Buffer[] = [];
  isOpen = false;

  take(chunk: Buffer): void {
    this.accept(chunk);
  }

  open(): void {
    this.isOpen = true;
    this.readOn();
  }

  override mayKeepAlive(): boolean {
    return true;
  }

  protected override onWritten(): void {}

  protected override canRead(): boolean {
    return this.isOpen;
  }

  protected override read(chunk: Buffer): void {
    this.chunks.push(chunk);
  }

  protected override mustRest(): boolean {
    return false;
  }

  protected override onRead(): void {}
}

describe("VisitorInput", () => {
  it("joins what trickles in while nobody can read it, and keeps its order", () => {
    const input = new Input(new Socket());
    const bytes = Buffer.from(Array.from({ length: 65_000 }, (_, at) => at % 251));
    for (let at = 0; at < bytes.length; at += 1) input.take(bytes.subarray(at, at + 1));
    input.open();
    expect(Buffer.concat(input.chunks).equals(bytes)).toBe(true);
    expect(input.chunks.length).toBeLessThanOrEqual(66);
  });
});
