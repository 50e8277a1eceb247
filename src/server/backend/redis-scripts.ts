// The steps of the Redis registry, each atomic, each on the one key of a hostname and the leases of its shard: two hashes
// in one slot. Those that take many names are the same step for each of them. Sends nothing.
//
// A name's fields: owner, ownerName, client, node, proto, reports, gate (JSON), port, epoch, since; `lease` (until when the
// client is up), `ends` (until when the name is its owner's), `left` (1: the client said goodbye). Times in ms, by Redis's
// own clock.
//
// Leases: under a name's key "LEASE ENDS LOOK EPOCH CLIENT", in the place of the name's own `lease` and `ends`. It is there
// only while the name is that client's at that epoch: whatever else is done to the name takes it away. So names are renewed
// by a few commands for all of them together. From LOOK on the next renewal looks at the name itself.

import { scriptOf } from "../redis/index.ts";

/** In the order in which scripts answer them. */
export const FIELDS = [
  "owner",
  "ownerName",
  "client",
  "node",
  "proto",
  "reports",
  "gate",
  "port",
  "epoch",
  "since",
  "lease",
  "ends",
  "left",
] as const;

/**
 * Redis keeps a key for so long after the name is free, so that its next epoch follows on the one before. Longer than
 * LOOK_MS: renewals between two looks do not say anew when the key ends.
 */
const KEPT_MS = 3_600_000;
/** How often a renewal looks at the name itself, and says when the keys end. */
const LOOK_MS = 1_800_000;

/** ARGV[1] is the time to be taken for now, empty: Redis's own. KEYS[1]: the leases, in all scripts that take names. */
const PRELUDE = `
local fields = {${FIELDS.map((name) => `"${name}"`).join(", ")}}
local now
if ARGV[1] == "" then
  local time = redis.call("TIME")
  now = time[1] * 1000 + math.floor(time[2] / 1000)
else
  now = tonumber(ARGV[1])
end
local function text(number) return string.format("%.0f", number) end
local function leaseIn(line)
  local lease, ends, look, epoch, client = string.match(line or "", "^(%d+) (%d+) (%d+) (%d+) (.*)$")
  return lease and { lease = tonumber(lease), ends = tonumber(ends), look = tonumber(look), epoch = epoch, client = client }
end
local function known(key)
  local values = redis.call("HMGET", key, unpack(fields))
  local held = leaseIn(redis.call("HGET", KEYS[1], key))
  if held and held.epoch == values[9] then values[11], values[12] = text(held.lease), text(held.ends) end
  return values
end
local function read(key)
  local values = known(key)
  if not values[9] then return nil, values end
  return {
    owner = values[1], ownerName = values[2], client = values[3], node = values[4], epoch = tonumber(values[9]),
    since = values[10], lease = tonumber(values[11]), ends = tonumber(values[12]), left = values[13] == "1",
    isHeld = now < tonumber(values[12])
  }, values
end
local function keep(key, ends) redis.call("PEXPIRE", key, text(ends + ${KEPT_MS} - now)) end
local function isLive(record) return record and record.isHeld and not record.left end
`;

/** Of one registration, from ARGV[at] on. */
const WRITE = `
local function write(key, at, epoch, since, leaseMs, graceMs, left)
  local lease = now + leaseMs
  redis.call("HSET", key, "owner", ARGV[at], "ownerName", ARGV[at + 1], "client", ARGV[at + 2], "node", ARGV[at + 3],
    "proto", ARGV[at + 4], "reports", ARGV[at + 5], "gate", ARGV[at + 6], "port", ARGV[at + 7],
    "epoch", text(epoch), "since", since, "lease", text(lease), "ends", text(lease + graceMs), "left", left)
  redis.call("HDEL", KEYS[1], key)
  keep(key, lease + graceMs)
end
`;

/**
 * ARGV: now, lease ms, grace ms, the highest epoch that the node knows, `new` if the name may be one that Redis knows
 * nothing of; from 6 on the registration, and last an owner that is no more: its grace keeps nobody out.
 *
 * An epoch is at least the time in ms: it is higher than all before also when Redis lost what it knew, as long as its
 * clock is not set back by more than the loss took, and the node's own memory (the floor) covers that for the names that
 * live.
 *
 * Answers `absent`; or `taken`, owner's name, since, owner if only the grace keeps the name; or `registered`, now, record, the record before if it was of another
 * client or node, or away, and had not left.
 */
export const REGISTER = scriptOf(`${PRELUDE}${WRITE}
local old, before = read(KEYS[2])
if not old and ARGV[5] ~= "new" then return {"absent"} end
if old and old.isHeld and old.owner ~= ARGV[6] then
  local graceOf = (old.left or old.lease <= now) and old.owner or ""
  if graceOf == "" or graceOf ~= ARGV[#ARGV] then return {"taken", old.ownerName, old.since, graceOf} end
  old.isHeld = false
end
local isSame = isLive(old) and old.client == ARGV[8]
local epoch = math.max(now, tonumber(ARGV[4]) + 1, old and old.epoch + 1 or 1)
local keepsEpoch = isSame and old.node == ARGV[9]
if keepsEpoch then epoch = old.epoch end
write(KEYS[2], 6, epoch, isSame and old.since or text(now), tonumber(ARGV[2]), tonumber(ARGV[3]), "0")
local after = redis.call("HMGET", KEYS[2], unpack(fields))
if isLive(old) and (not keepsEpoch or old.lease <= now) then return {"registered", text(now), after, before} end
return {"registered", text(now), after}`);

/**
 * ARGV: now, lease ms, grace ms; then for each name its client and epoch. Answers now and a word for each: `up` (as it
 * was), `back` (it had been away), `lost` (somebody else's, or given up), `absent` (nobody's, or one that is older: then
 * Redis has lost what it knew).
 *
 * A name is looked at itself if it is not among the leases as it should be, from time to time, and when one key is missing.
 */
export const RENEW = scriptOf(`${PRELUDE}
local lease, ends = now + tonumber(ARGV[2]), now + tonumber(ARGV[2]) + tonumber(ARGV[3])
local names = {unpack(KEYS, 2)}
local areThere = redis.call("EXISTS", unpack(names)) == #names
local lines = redis.call("HMGET", KEYS[1], unpack(names))
local answer, renewed, hasLooked = {text(now)}, {}, false
local function look(key, client, epoch)
  hasLooked = true
  local old = read(key)
  if not old or not old.isHeld or old.epoch < tonumber(epoch) then return "absent" end
  if old.client ~= client or old.epoch ~= tonumber(epoch) or old.left then return "lost" end
  redis.call("HSET", key, "lease", text(lease), "ends", text(ends))
  keep(key, ends)
  return old.lease > now and "up" or "back"
end
for index, key in ipairs(names) do
  local client, epoch = ARGV[2 + 2 * index], ARGV[3 + 2 * index]
  local held = areThere and leaseIn(lines[index])
  local word, lookAt
  if held and held.client == client and held.epoch == epoch and held.ends > now and held.look > now then
    word, lookAt = held.lease > now and "up" or "back", held.look
  else
    word, lookAt = look(key, client, epoch), now + ${LOOK_MS}
  end
  if word == "up" or word == "back" then
    renewed[#renewed + 1] = key
    renewed[#renewed + 1] = text(lease) .. " " .. text(ends) .. " " .. text(lookAt) .. " " .. epoch .. " " .. client
  end
  answer[index + 1] = word
end
if #renewed > 0 then redis.call("HSET", KEYS[1], unpack(renewed)) end
if hasLooked then keep(KEYS[1], ends) end
return answer`);

/** ARGV: now. Takes away the leases of names that nobody renewed until they were free. */
export const SWEEP = scriptOf(`${PRELUDE}
local lines = redis.call("HGETALL", KEYS[1])
for at = 1, #lines, 2 do
  local held = leaseIn(lines[at + 1])
  if not held or held.ends <= now then redis.call("HDEL", KEYS[1], lines[at]) end
end`);

/**
 * Puts back what a node holds and Redis has lost, at the epoch that it had: what is newer there stays, whoever's it is, so
 * that of two that believe to hold a name the newer one gets it, in whatever order they come.
 *
 * ARGV: now, lease ms, grace ms, epoch, since; from 6 on the registration, and last `up`, or for a name that its client has
 * given up `away` or `left`: such a one takes the place of none at its own epoch, which may have come back. Answers
 * `registered`, now, record; or `lost`.
 */
export const REVIVE = scriptOf(`${PRELUDE}${WRITE}
local old = read(KEYS[2])
local epoch = tonumber(ARGV[4])
local isOwn = old and old.epoch == epoch and old.client == ARGV[8] and not old.left and ARGV[#ARGV] == "up"
if old and old.epoch >= epoch and not isOwn then return {"lost"} end
write(KEYS[2], 6, epoch, ARGV[5], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[#ARGV] == "left" and "1" or "0")
return {"registered", text(now), redis.call("HMGET", KEYS[2], unpack(fields))}`);

/** ARGV: now. Answers now and, for each name, its record's fields. */
export const LOCATE = scriptOf(`${PRELUDE}
local answer = {text(now)}
for index = 2, #KEYS do answer[index] = known(KEYS[index]) end
return answer`);

/**
 * ARGV: now, grace ms, client, epoch, `left`, `lost`, or `undo`: as if it
 * had never been, so that its epoch stands in nobody's way. Answers `none`; `same`
 * (it was away already); or `changed`, now, record.
 */
export const REMOVE = scriptOf(`${PRELUDE}
local old = read(KEYS[2])
if not isLive(old) or old.client ~= ARGV[3] or old.epoch ~= tonumber(ARGV[4]) then return {"none"} end
if ARGV[5] == "undo" then
  redis.call("HDEL", KEYS[1], KEYS[2])
  redis.call("DEL", KEYS[2])
  return {"changed", text(now), {}}
end
if ARGV[5] == "lost" and old.lease <= now then return {"same"} end
local ends = now + tonumber(ARGV[2])
local hasLeft = ARGV[5] == "lost" and "0" or "1"
redis.call("HSET", KEYS[2], "lease", text(now), "ends", text(ends), "left", hasLeft)
redis.call("HDEL", KEYS[1], KEYS[2])
keep(KEYS[2], ends)
return {"changed", text(now), redis.call("HMGET", KEYS[2], unpack(fields))}`);

/** ARGV: now, when the names end, how long the index may stay; then the names. Those whose end has passed leave it. */
export const INDEX = scriptOf(`${PRELUDE}
for at = 4, #ARGV do redis.call("ZADD", KEYS[1], "GT", tonumber(ARGV[2]), ARGV[at]) end
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", text(now))
redis.call("PEXPIRE", KEYS[1], ARGV[3])`);

/**
 * The mark by which a node sees that Redis has lost what it knew: it is gone, or another one. Or it may have lost the last
 * of it: the mark was made in another process, which this one has followed after a failover, or from the disk.
 *
 * ARGV: now, a new id, the mark that this node has seen (empty: none), and for how many ms after a loss names that nobody
 * is known to hold are not given out. Answers the mark, until when that is, and now.
 */
export const BIRTH = scriptOf(`${PRELUDE}
local process = string.match(redis.call("INFO", "server"), "run_id:(%w+)")
local mark = redis.call("HMGET", KEYS[1], "id", "closed", "process")
local id, closed = mark[1] or ARGV[2], tonumber(mark[2] or "0")
local shown = id .. ":" .. process
local isOther = mark[1] and mark[3] ~= process
if isOther or ARGV[3] ~= "" and ARGV[3] ~= shown then closed = math.max(closed, now + tonumber(ARGV[4])) end
if not mark[1] or isOther or text(closed) ~= mark[2] then
  redis.call("HSET", KEYS[1], "id", id, "closed", text(closed), "process", process)
end
return {shown, text(closed), text(now)}`);
