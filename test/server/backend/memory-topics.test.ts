// The topics of a single node: the contract.

import { MemoryTopics } from "../../../src/server/backend/memory-topics.ts";
import { describeTopics } from "./topics-contract.ts";

describeTopics("MemoryTopics", async () => [new MemoryTopics("node-1")]);
