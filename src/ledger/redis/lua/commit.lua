-- commit.lua: makes a batch of steps, each whole or not at all. Tests all draws of a step, then writes all.
--
-- KEYS  as in open.lua
-- ARGV  1 to 8 as in open.lua
--       9 number of buckets, 10 of reservations, 11 of steps that the batch names
--       12 the plan: the steps in binary (below)   13 names of pools, channels and tallies, one a line, numbered from 1 on; '' for none
--       then the buckets' names, the reservations' ids, and the steps' own texts, in their order
-- The plan: a byte for the kind of each step, then
--       1 a reservation's step: flags (1 it is new, 2 it has a last instant, 4 it rests on a version of the network, 8 it removes the
--         reservation, 16 draws are tested, 32 it joins those at risk, 64 it leaves them), what becomes of its end (0 nothing,
--         1 now + hold, 2 none, 3 its request id is remembered from now on), the side that gives and the one that takes (2 held,
--         3 confirmed, 4 fulfilled), 2-byte number of the reservation, 8-byte version, last instant and hold, 2-byte counts of gives and
--         takes, names of the channels that give and take (0: none), count of tallies; then each give (4-byte bucket, 2-byte name of
--         its pool or 0, 8-byte units), take (the same, and 8-byte standing units; where they are tested, the least of a bucket's, its
--         takes following each other, each pool once) and tally (4-byte name, 8-byte number). Texts: what is expected (its fingerprint
--         if it is new, else the 44 bytes it begins with) and the new value but for its stamp and mark.
--       2 a repeat is told what there is: 2-byte reservation. Texts: its fingerprint.
--       3 supply is set: 8-byte version, a byte (1: only where none was set), 4-byte count; each: bucket, 8-byte units.
--       4 supply is changed: version, a byte (1: it has a request id), count, 8-byte change; each: bucket, 8-byte
--         standing units. Texts, where it has a request id: the id, its fingerprint, the record.
--       5 nothing: only what is due is given back.
--       6 units are set aside: version, a byte (0 for a channel; 1 for a channel, and it has a request id; 2 for an offer), 2-byte names
--         of the pool and of the channel (0: none), count; each: bucket, 8-byte standing units, units, release_at and most (-1: none).
--         Texts: of a request id as of 4; of an offer its id, and its value but for stamp and mark.
--       7 an offer is closed: 2-byte name of its pool, count; each: bucket. Texts: its id, the 44 bytes it is expected to begin with,
--         its new value but for stamp and mark.
--       8 something is counted: count; each: 4-byte name, 8-byte number.
--       9 a refused request is counted, unless it was before: the 8 bytes of its digest, and as of 8. The feed has it as 8 or, where
--         it was counted before, as 5: servers of this layout that came before it read those.
-- Returns {'done', at, first, last, version, due, codes, before, extras, feed}
--       codes: a letter a step: A it was made, and is entry first, first + 1, ... of the feed; O there was nothing to change;
--       C a refusal was counted;
--       P another reservation (or the same request's) is there: its value is in extras; N there is none;
--       S a bucket is short: in extras their number and, for each, its number in the batch and its level;
--       W it rests on another version of the network; L its last instant is over; M there are as many offers as may be.
--       extras of 3: the number of buckets that were set; of 4, and of 6 for a channel: the levels in a row.
--       before: the levels of the batch's buckets before it, in a row; '' if nothing was made.
--       {'again', at, first, last, version, due, codes, '', extras, feed} when this very call was made before: at, first, codes
--       and extras are those of the first time; its entries are in the feed.
-- Invariants
--       No draw makes a balance, a pool or what a channel may draw negative, and nothing is set aside that is not there. Draws go back once, as a value is replaced by exactly who knows it.

if again then
  local instant, first, codes, extras = string.match(again, '^(%d+) (%d+) (%a*) ?(.*)$')
  extras = extras ~= '' and cmsgpack.unpack(extras) or {}
  return {'again', instant, first, last, number(version), due, codes, '', extras, feed}
end

local OFFERS = 10000 -- MAX_OFFERS
local buckets, reservations, steps = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local plan, text = ARGV[12], 13 + buckets + reservations
local names = {}
for name in string.gmatch(ARGV[13], '[^\n]+') do names[#names + 1] = name end
local raw = get(KEYS[2], ARGV, 14, 13 + buckets)
local values = get(KEYS[3], ARGV, 14 + buckets, text)
local levels, dirty, rewritten = {}, {}, {}
for i = 1, buckets do levels[i] = read_level(raw[i]) end
local codes, extras, data, made = {}, {}, {}, 0
local ids, ends, endless, removed, at_risk, sums = {}, {}, {}, {}, {}, {}
local instants = {}
local stamp = at .. ARGV[6]
local pos, kind = 1, nil

-- An instant from now, as text; holds of a batch are mostly of one length.
local function after(span)
  local instant = instants[span]
  if not instant then
    instant = number(now + span)
    instants[span] = instant
  end
  return instant
end

local function tell(r, fingerprint)
  local v = values[r]
  if string.sub(v, 36, 36) == 'H' and string.sub(v, 45, 60) == fingerprint then
    v = string.sub(v, 1, 35) .. 'T' .. string.sub(v, 37)
    values[r], rewritten[r] = v, true
  end
  extras[#extras + 1] = v
  return 'P'
end

local function tally(n, by)
  local name = names[n]
  sums[name] = (sums[name] or 0) + by
end

-- Refused requests that are counted by this batch.
local refused = {}
-- The plan as the feed has it, up to `fed_to`.
local fed, fed_to = {}, 1

local function is_counted(request)
  if refused[request] then return true end
  local before = redis.call('ZSCORE', KEYS[11], request)
  return before and tonumber(before) > now - REFUSED_FOR
end

local function count_once()
  local kept, request, count, n, by = string.sub(plan, fed_to, pos - 2), nil, nil, nil, nil
  request, pos = unbin('>c8', plan, pos)
  local counts = pos
  count, pos = unbin('>I4', plan, pos)
  local begin = pos
  pos = pos + 12 * count
  local again = is_counted(request)
  fed[#fed + 1], fed[#fed + 2], fed_to = kept, again and '\5' or '\8' .. string.sub(plan, counts, pos - 1), pos
  if again then return 'O' end
  refused[request] = true
  for _ = 1, count do
    n, by, begin = unbin('>I4l', plan, begin)
    tally(n, by)
  end
  return 'C'
end

local function left(p) return now < p[4] and math.max(0, p[2] - p[3]) or 0 end

local function balance(l, standing)
  local rest = (l[1] >= 0 and l[1] or standing) - l[2] - l[3] - l[4]
  if l.pools then
    for _, p in ipairs(l.pools) do rest = rest - left(p) end
  end
  return rest
end

-- Whether a bucket of which something is known of pools or channels can give all takes of it, of which the first is at `from`.
-- Units of a pool that was released, or is not there, are common.
local function can_give(l, by, from, takes)
  local bucket, pool, units, standing, p = unbin('>I4Hll', plan, from)
  local rest, b, common, all = balance(l, standing), bucket, 0, 0
  if rest < 0 then return false end
  while b == bucket do
    all = all + units
    local mine = pool > 0 and own(l.pools, names[pool])
    if not mine or mine[4] <= now then
      common = common + units
    elseif units > left(mine) then
      return false
    end
    takes = takes - 1
    if takes == 0 then break end
    b, pool, units, standing, p = unbin('>I4Hll', plan, p)
  end
  local channel = by and own(l.channels, by)
  return common <= rest and (not channel or channel[3] < 0 or all <= math.max(0, channel[3] - channel[2]))
end

local function copy(list)
  if not list then return nil end
  local c = {}
  for i, share in ipairs(list) do c[i] = {unpack(share)} end
  return c
end

local function reservation()
  local flags, ending, from, to, r, on, latest, hold, gives, takes, giver, taker, tallies
  flags, ending, from, to, r, on, latest, hold, gives, takes, giver, taker, tallies, pos = unbin('>BBBBHlllHHHHH', plan, pos)
  local gave, took = pos, pos + 14 * gives
  local counted = took + 22 * takes
  pos = counted + 12 * tallies
  local expected, value = ARGV[text + 1], ARGV[text + 2]
  text = text + 2
  local present = values[r]
  local new = flags % 2 == 1
  if new then
    if present then return tell(r, expected) end
  else
    if not present then return 'N' end
    if string.sub(present, 1, 44) ~= expected then
      extras[#extras + 1] = present
      return 'P'
    end
  end
  if flags % 4 >= 2 and now > latest then return 'L' end
  if flags % 8 >= 4 and on ~= version then return 'W' end

  local tested, before = flags % 32 >= 16, {}
  giver, taker = names[giver], names[taker]
  local b, pool, units, standing
  local p = gave
  for _ = 1, gives do
    b, pool, units, p = unbin('>I4Hl', plan, p)
    local l = levels[b]
    if tested and not before[b] then
      before[b] = l
      l = {l[1], l[2], l[3], l[4], pools = copy(l.pools), channels = copy(l.channels)}
      levels[b] = l
    end
    give(l, from, names[pool], giver, units)
  end
  if tested then
    local short, looked_at, want
    p = took
    for i = 1, takes do
      local here = p
      b, pool, units, standing, p = unbin('>I4Hll', plan, p)
      local l, enough = levels[b], true
      if not l.pools and not l.channels then
        want = b == looked_at and want + units or units
        enough = (l[1] >= 0 and l[1] or standing) - l[2] - l[3] - l[4] >= want
      elseif b ~= looked_at then
        enough = can_give(l, taker, here, takes - i + 1)
      end
      looked_at = b
      if not enough then
        short = short or {}
        if short[#short] ~= b then short[#short + 1] = b end
      end
    end
    if short then
      for b, l in pairs(before) do levels[b] = l end
      extras[#extras + 1] = #short
      for _, b in ipairs(short) do
        extras[#extras + 1] = b
        extras[#extras + 1] = write_level(levels[b])
      end
      return 'S'
    end
  end
  p = gave
  for _ = 1, gives do
    b, p = unbin('>I4', plan, p)
    dirty[b] = true
    p = p + 10
  end
  p = took
  for _ = 1, takes do
    b, pool, units, standing, p = unbin('>I4Hll', plan, p)
    take(levels[b], to, names[pool], taker, units)
    dirty[b] = true
  end
  p = counted
  for _ = 1, tallies do
    b, units, p = unbin('>I4l', plan, p)
    tally(b, units)
  end

  local id = ARGV[13 + buckets + r]
  if flags >= 32 then at_risk[id] = flags < 64 end
  if flags % 16 >= 8 then
    value = present
    values[r], rewritten[r] = false, nil
    removed[r] = true
    ids[id], ends[id], endless[id] = nil, nil, true
  else
    value = stamp .. value
    values[r], rewritten[r] = value, true
    removed[r] = nil
    if new then ids[id] = true end
    if ending == 1 then
      ends[id], endless[id] = after(hold), nil
    elseif ending == 2 then
      ends[id], endless[id] = nil, true
    elseif ending == 3 then
      ends[id], endless[id] = after(KEEP), nil
    end
  end
  data[#data + 1] = bin('>I4', #value)
  data[#data + 1] = value
  return 'A'
end

local function set(b, units)
  if levels[b][1] == units then return false end
  levels[b][1] = units
  dirty[b] = true
  return true
end

local function set_supply()
  local on, unset, count, b, units
  on, unset, count, pos = unbin('>lBI4', plan, pos)
  local begin = pos
  pos = pos + 12 * count
  if on ~= version then return 'W' end
  local done, changed, p = 0, false, begin
  for _ = 1, count do
    b, units, p = unbin('>I4l', plan, p)
    if unset == 0 or levels[b][1] < 0 then
      done = done + 1
      if set(b, units) then changed = true end
    end
  end
  extras[#extras + 1] = done
  return changed and 'A' or 'O'
end

local adjustments, adjusted = {}, {}

-- What a request did that was made before, if it was.
local function remembered_adjustment(id)
  return adjusted[id] or redis.call('HGET', KEYS[7], id)
end

local function remember_adjustment(id, fingerprint, record, made_levels)
  local value = at .. fingerprint .. bin('>I4', #made_levels) .. made_levels .. record
  adjusted[id] = value
  adjustments[#adjustments + 1], adjustments[#adjustments + 2] = id, value
end

local function adjust_supply()
  local on, named, count, change, b, standing
  on, named, count, change, pos = unbin('>lBI4l', plan, pos)
  local begin = pos
  pos = pos + 12 * count
  local id, fingerprint, record
  if named == 1 then
    id, fingerprint, record = ARGV[text + 1], ARGV[text + 2], ARGV[text + 3]
    text = text + 3
    local known = remembered_adjustment(id)
    if known then
      extras[#extras + 1] = known
      return 'P'
    end
  end
  if on ~= version then return 'W' end
  local changed, after_, p = false, {}, begin
  for i = 1, count do
    b, standing, p = unbin('>I4l', plan, p)
    local l = levels[b]
    local units = (l[1] >= 0 and l[1] or standing) + change
    if set(b, math.max(0, math.min(9007199254740991, units))) then changed = true end
    after_[i] = write_level(l)
  end
  after_ = row(after_, count)
  extras[#extras + 1] = after_
  if named == 1 then remember_adjustment(id, fingerprint, record, after_) end
  return changed and 'A' or 'O'
end

local offers, offered, all_offers = {}, {}, nil

local function known_offer(id)
  if offers[id] == nil then offers[id] = redis.call('HGET', KEYS[8], id) end
  return offers[id]
end

local function put_offer(id, value)
  value = stamp .. value
  offers[id] = value
  offered[id] = value
  data[#data + 1] = bin('>I4', #value)
  data[#data + 1] = value
end

-- Of a pool as it is from now on; `most` of the channel, where one is named.
local function reserve_of(b, pool, units, until_, raw, channel, most)
  local l = levels[b]
  local before = write_level(l)
  local p = pool_of(l, pool)
  if units == 0 then until_, raw = 0, ZEROS end
  p[2], p[4], p[5] = math.min(9007199254740991, units), until_, raw
  tidy_pool(l, pool)
  if channel then
    channel_of(l, channel)[3] = most
    tidy_channel(l, channel)
  end
  local after_ = write_level(l)
  if after_ == before then return false, after_ end
  dirty[b] = true
  return true, after_
end

local function set_aside()
  local on, how, pool, channel, count
  on, how, pool, channel, count, pos = unbin('>lBHHI4', plan, pos)
  local begin = pos
  pos = pos + 36 * count
  pool, channel = names[pool], names[channel]
  local id, fingerprint, record, known
  if how == 1 then
    id, fingerprint, record = ARGV[text + 1], ARGV[text + 2], ARGV[text + 3]
    text = text + 3
    known = remembered_adjustment(id)
  elseif how == 2 then
    id, record = ARGV[text + 1], ARGV[text + 2]
    text = text + 2
    known = known_offer(id)
  end
  if known then
    extras[#extras + 1] = known
    return 'P'
  end
  if on ~= version then return 'W' end
  if how == 2 then
    all_offers = all_offers or redis.call('HLEN', KEYS[8])
    if all_offers >= OFFERS then return 'M' end
  end
  local b, standing, units, raw, most
  local p, short = begin, {}
  for _ = 1, count do
    b, standing, units, raw, most, p = unbin('>I4llc8l', plan, p)
    local l = levels[b]
    local mine = own(l.pools, pool)
    local more = (unbin('>l', raw)) > now and math.max(0, units - (mine and mine[3] or 0)) or 0
    if mine then more = more - left(mine) end
    if more > 0 and more > balance(l, standing) then short[#short + 1] = b end
  end
  if short[1] then
    extras[#extras + 1] = #short
    for _, b in ipairs(short) do
      extras[#extras + 1] = b
      extras[#extras + 1] = write_level(levels[b])
    end
    return 'S'
  end
  local changed, after_ = false, {}
  p = begin
  for i = 1, count do
    b, standing, units, raw, most, p = unbin('>I4llc8l', plan, p)
    local wrote, v = reserve_of(b, pool, units, (unbin('>l', raw)), raw, channel, most)
    changed = changed or wrote
    after_[i] = v
  end
  if how == 2 then
    all_offers = all_offers + 1
    put_offer(id, record)
    return 'A'
  end
  after_ = row(after_, count)
  extras[#extras + 1] = after_
  if how == 1 then remember_adjustment(id, fingerprint, record, after_) end
  return changed and 'A' or 'O'
end

local function close_offer()
  local pool, count, b
  pool, count, pos = unbin('>HI4', plan, pos)
  local p = pos
  pos = pos + 4 * count
  local id, expected, value = ARGV[text + 1], ARGV[text + 2], ARGV[text + 3]
  text = text + 3
  local present = known_offer(id)
  if not present then return 'N' end
  if string.sub(present, 1, 44) ~= expected then return 'P' end
  pool = names[pool]
  for _ = 1, count do
    b, p = unbin('>I4', plan, p)
    if own(levels[b].pools, pool) then reserve_of(b, pool, 0, 0, ZEROS) end
  end
  put_offer(id, value)
  return 'A'
end

for s = 1, steps do
  kind, pos = unbin('>B', plan, pos)
  local code
  if kind == 1 then
    code = reservation()
  elseif kind == 2 then
    local r
    r, pos = unbin('>H', plan, pos)
    text = text + 1
    code = values[r] and tell(r, ARGV[text]) or 'N'
  elseif kind == 3 then
    code = set_supply()
  elseif kind == 4 then
    code = adjust_supply()
  elseif kind == 6 then
    code = set_aside()
  elseif kind == 7 then
    code = close_offer()
  elseif kind == 8 then
    local count, n, by
    count, pos = unbin('>I4', plan, pos)
    for _ = 1, count do
      n, by, pos = unbin('>I4l', plan, pos)
      tally(n, by)
    end
    code = 'O'
  elseif kind == 9 then
    code = count_once()
  else
    code = 'O'
  end
  if code == 'A' then made = made + 1 end
  codes[s] = code
end
codes = table.concat(codes)
local done = codes
if #extras > 0 then done = codes .. ' ' .. cmsgpack.pack(extras) end

-- Everything was decided; from here on it is only written.
count(sums)
local written = {}
for b in pairs(dirty) do
  written[#written + 1], written[#written + 2] = ARGV[13 + b], write_level(levels[b])
end
if #written > 0 then put('HSET', KEYS[2], written) end
written = {}
for r in pairs(rewritten) do
  written[#written + 1], written[#written + 2] = ARGV[13 + buckets + r], values[r]
end
if #written > 0 then put('HSET', KEYS[3], written) end
written = {}
for r in pairs(removed) do written[#written + 1] = ARGV[13 + buckets + r] end
if #written > 0 then
  put('HDEL', KEYS[3], written)
  put('ZREM', KEYS[4], written)
end
written = {}
for id in pairs(ids) do
  written[#written + 1], written[#written + 2] = '0', id
end
if #written > 0 then put('ZADD', KEYS[4], written) end
written = {}
for id, instant in pairs(ends) do
  written[#written + 1], written[#written + 2] = instant, 'r' .. id
end
for i = 1, #adjustments, 2 do
  written[#written + 1], written[#written + 2] = after(KEEP), 'a' .. adjustments[i]
end
if #written > 0 then put('ZADD', KEYS[5], written) end
written = {}
for id in pairs(endless) do written[#written + 1] = 'r' .. id end
if #written > 0 then put('ZREM', KEYS[5], written) end
if #adjustments > 0 then put('HSET', KEYS[7], adjustments) end
written = {}
for id, value in pairs(offered) do
  written[#written + 1], written[#written + 2] = id, value
end
if #written > 0 then put('HSET', KEYS[8], written) end
local safe = {}
written = {}
for id, joins in pairs(at_risk) do
  if joins then
    written[#written + 1], written[#written + 2] = '0', id
  else
    safe[#safe + 1] = id
  end
end
if #written > 0 then put('ZADD', KEYS[10], written) end
if #safe > 0 then put('ZREM', KEYS[10], safe) end

written = {}
for request in pairs(refused) do
  written[#written + 1], written[#written + 2] = at, request
end
if #written > 0 then
  put('ZADD', KEYS[11], written)
  redis.call('ZREMRANGEBYSCORE', KEYS[11], '-inf', number(now - REFUSED_FOR))
  redis.call('ZREMRANGEBYRANK', KEYS[11], 0, -REFUSED - 1)
  redis.call('EXPIRE', KEYS[11], REFUSED_FOR / 1000000)
end

local first, before = number(seq + 1), ''
if made > 0 then
  before = row(raw, buckets)
  plan = table.concat(fed) .. string.sub(plan, fed_to)
  append(made, done, 'k', 'c', 'f', table.concat(ARGV, '\n', 14, 13 + buckets), 'o', ARGV[13], 'p', plan, 'c', codes, 'l', before,
    'd', table.concat(data))
elseif steps > 0 then
  came_to_nothing(done)
end
return {'done', at, first, last, number(version), due, codes, before, extras, feed}
