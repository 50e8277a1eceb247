// The words of random names. Order and number decide which name a machine
// gets: changing the lists renames everybody's pipes.

export const ADJECTIVES: readonly string[] = [
  ...["able", "agile", "amber", "ample", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid", "cheery"],
  ...["civic", "clear", "clever", "coral", "cosmic", "cosy", "crisp", "daring", "dear", "deft", "eager", "early"],
  ...["easy", "exact", "fair", "fancy", "fine", "fleet", "fond", "frank", "free", "fresh", "gentle", "glad"],
  ...["golden", "grand", "happy", "hardy", "honest", "humble", "ideal", "jolly", "keen", "kind", "lively", "loyal"],
  ...["lucid", "lucky", "lunar", "mellow", "merry", "mild", "misty", "modest", "neat", "nimble", "noble", "patient"],
  ...["placid", "plucky", "polite", "proud", "quick", "quiet", "rapid", "ready", "rosy", "royal", "rustic", "silver"],
  ...["snug", "solar", "solid", "spry", "steady", "sturdy", "sunny", "swift", "tidy", "tranquil", "vivid", "warm"],
];

export const NOUNS: readonly string[] = [
  ...["acorn", "alder", "anchor", "aspen", "badger", "bay", "beacon", "birch", "bison", "breeze", "bridge", "brook"],
  ...["canyon", "cedar", "cliff", "cloud", "clover", "comet", "coral", "cove", "crane", "creek", "delta", "dune"],
  ...["eagle", "elm", "ember", "falcon", "fern", "finch", "fjord", "forest", "fox", "garden", "glade", "grove"],
  ...["harbor", "hare", "hawk", "hazel", "heron", "hill", "island", "ivy", "jay", "juniper", "lagoon", "lake"],
  ...["lark", "laurel", "linden", "lotus", "lynx", "maple", "marten", "meadow", "mesa", "moon", "moss", "oak"],
  ...["ocean", "orchid", "osprey", "otter", "owl", "pebble", "pine", "plover", "poplar", "prairie", "quartz", "raven"],
  ...["reef", "ridge", "river", "robin", "sparrow", "spruce", "stone", "stream", "summit", "tern", "valley", "willow"],
];
