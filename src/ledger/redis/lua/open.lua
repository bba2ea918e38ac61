-- open.lua: how every script begins. It is put before each of the others when the service is built.
--
-- It reads where the network stands, finds out the instant, gives back what is due (rule 21), and fetches what the caller has
-- not seen of the feed. It is dumb: whatever needs to be understood was decided by the server that calls.
--
-- KEYS  1 head  2 buckets  3 reservations  4 ids  5 when  6 feed  7 adjustments  8 offers  9 tallies  10 risk
--       11 refused  (all of one hash tag)
-- ARGV  1 the instant in microseconds, or '' for the store's clock   2 microseconds to add to the store's clock
--       3 the caller's slot in head   4 the number of its call there
--       5 the last stream id that it knows, '' for none, '*' if it does not follow the feed
--       6 a number of 19 digits that no other call has: half of the next stream id, and the mark of what the call writes
--       7 entries of the feed that are kept and, behind a space, microseconds that a request id is remembered after its end   8 '1': the network may be written to though it was never applied
-- Returns, on its own account
--       {'unknown'}                   there is no such network
--       {'due', at, last, due, feed}  more is due than one call gives back; to be called again, nothing else was done
-- Invariants
--       A call that is made twice with the same slot and number does its work once (see `again`), and one that comes after a later
--       one, as what was stuck in a network does, does nothing. So a caller that was told something is never proved wrong by it.
--       The feed has an entry for each change, and head.last is the id of its newest entry. A caller whose last known id is not
--       in the feed any more, or never was, is told so by `feed` beginning with another id.
--
-- A level is {set or -1, held, confirmed, fulfilled, pools = {{name, set, used, release_at, its 8 bytes}, ...} or nil,
-- channels = {{name, drawn, most or -1}, ...} or nil}, its lists never empty, and without entries that say nothing. Stored: four
-- big-endian 8-byte integers; then for each pool a byte 1, set, used, release_at and its zero-terminated name, and for each channel
-- a byte 2, drawn, most, 8 zeros and its name.
-- A stored reservation: 16 digits of the instant of its last change ('stamp'), the 19 of the call that made it ('mark'), a letter for
-- its state (H held; T held and told to a repeat; C confirmed; R released; E expired; F fulfilled), 8 digits of its version; by these
-- 44 bytes one version is told from every other. Then 16 bytes of fingerprint, a 4-byte length and, of that length, what its end does:
-- the channel that gives back, or '', a byte and so many tallies (name, 8-byte number to be added), and the draws that go back
-- (bucket, pool, 8-byte units); and its record, which is opaque here.
-- A stored offer: the same 44 bytes (A approved; C closed), and its record.

local bin, unbin = struct.pack, struct.unpack
local AT_ONCE = 200               -- holds that one call gives back
local ENTRIES = 64                -- entries of the feed that one call fetches
local MANY = 4000                 -- arguments of one redis.call: unpack has a limit
local REFUSED_FOR = 10 * 60 * 1000000 -- how long a counted refusal is remembered: REFUSED_MINUTES
local REFUSED = 100000            -- refusals that are remembered: MAX_REFUSED
local LAYOUT = '2'                -- of the keys and what is in them
local ZEROS = string.rep('\0', 8)
local now
local kept_entries, KEEP = string.match(ARGV[7], '^(%d+) (%d+)$')
kept_entries, KEEP = tonumber(kept_entries), tonumber(KEEP)

local function number(n) return string.format('%.0f', n) end

local function read_level(v)
  if not v then return {-1, 0, 0, 0} end
  local l = {unbin('>llll', v)}
  l[5] = nil
  if #v > 32 then
    local pos, pools, channels, kind, a, b, raw, name = 33, {}, {}, nil, nil, nil, nil, nil
    while pos <= #v do
      kind, a, b, raw, name, pos = unbin('>Bllc8s', v, pos)
      if kind == 1 then
        pools[#pools + 1] = {name, a, b, (unbin('>l', raw)), raw}
      else
        channels[#channels + 1] = {name, a, b}
      end
    end
    if pools[1] then l.pools = pools end
    if channels[1] then l.channels = channels end
  end
  return l
end

local function write_level(l)
  local v = bin('>llll', l[1], l[2], l[3], l[4])
  if l.pools then
    for _, p in ipairs(l.pools) do v = v .. bin('>Bllc8s', 1, p[2], p[3], p[5], p[1]) end
  end
  if l.channels then
    for _, c in ipairs(l.channels) do v = v .. bin('>Bllc8s', 2, c[2], c[3], ZEROS, c[1]) end
  end
  return v
end

-- The entry of a pool or a channel, and its place.
local function own(list, name)
  if list then
    for i, share in ipairs(list) do
      if share[1] == name then return share, i end
    end
  end
end

local function pool_of(l, name)
  local p = own(l.pools, name)
  if not p then
    p = {name, 0, 0, 0, ZEROS}
    l.pools = l.pools or {}
    table.insert(l.pools, p)
  end
  return p
end

local function channel_of(l, name)
  local c = own(l.channels, name)
  if not c then
    c = {name, 0, -1}
    l.channels = l.channels or {}
    table.insert(l.channels, c)
  end
  return c
end

-- Drops an entry that says nothing.
local function tidy_pool(l, name)
  local p, i = own(l.pools, name)
  if p and p[2] == 0 and p[3] == 0 then
    table.remove(l.pools, i)
    if not l.pools[1] then l.pools = nil end
  end
end

local function tidy_channel(l, name)
  local c, i = own(l.channels, name)
  if c and c[2] == 0 and c[3] < 0 then
    table.remove(l.channels, i)
    if not l.channels[1] then l.channels = nil end
  end
end

-- side: 2 held, 3 confirmed, 4 fulfilled; pool and channel: their names, or nil
local function take(l, side, pool, channel, units)
  l[side] = l[side] + units
  if pool then
    local p = pool_of(l, pool)
    p[3] = p[3] + units
  end
  if channel then
    local c = channel_of(l, channel)
    c[2] = c[2] + units
  end
end

local function give(l, side, pool, channel, units)
  l[side] = math.max(0, l[side] - units)
  if pool and l.pools then
    local p = own(l.pools, pool)
    if p then
      p[3] = math.max(0, p[3] - units)
      tidy_pool(l, pool)
    end
  end
  if channel and l.channels then
    local c = own(l.channels, channel)
    if c then
      c[2] = math.max(0, c[2] - units)
      tidy_channel(l, channel)
    end
  end
end

-- HSET, ZADD and the like with any number of arguments
local function put(command, key, args)
  for from = 1, #args, MANY do
    redis.call(command, key, unpack(args, from, math.min(#args, from + MANY - 1)))
  end
end

-- Adds to tallies, by name. One that has no room for more stays as it is. It comes before all that is written beside it: should the
-- server not let it through (rights, another kind of key), nothing was done.
local function count(sums)
  for name, by in pairs(sums) do
    local sum = redis.pcall('HINCRBY', KEYS[9], name, number(by))
    if type(sum) == 'table' and sum.err and not string.find(sum.err, 'overflow', 1, true) then error(sum) end
  end
end

local function get(key, names, from, to)
  if to < from then return {} end
  if to - from < MANY then return redis.call('HMGET', key, unpack(names, from, to)) end
  local all = {}
  for begin = from, to, MANY do
    local part = redis.call('HMGET', key, unpack(names, begin, math.min(to, begin + MANY - 1)))
    for i = 1, math.min(to, begin + MANY - 1) - begin + 1 do all[begin - from + i] = part[i] end
  end
  return all
end

-- Stored levels in a row, as entries of the feed have them: what was there before.
local function row(raw, n)
  local parts = {}
  for i = 1, n do
    local v = raw[i]
    if not v then
      parts[#parts + 1] = '\0'
    else
      if #v == 32 then parts[#parts + 1] = '\1' else parts[#parts + 1] = bin('>BI4', 2, #v) end
      parts[#parts + 1] = v
    end
  end
  return table.concat(parts)
end

local head = redis.call('HMGET', KEYS[1], 'layout', 'seq', 'last', 'now', 'version', ARGV[3])
if head[1] and head[1] ~= LAYOUT then return redis.error_reply('SURETYLAYOUT ' .. head[1]) end
if not head[5] and ARGV[8] ~= '1' then return {'unknown'} end
local seq, last, version = tonumber(head[2] or '0'), head[3] or '', tonumber(head[5] or '0')

if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2] + tonumber(ARGV[2])
else
  now = tonumber(ARGV[1])
end
-- Clocks jump, and a replica's may be behind; what was once due stays so.
if head[4] and tonumber(head[4]) > now then now = tonumber(head[4]) end
local at = number(now)

-- What came of this very call, if it was made before.
local again
if head[6] then
  local n, done = string.match(head[6], '^(%d+) (.*)$')
  if n == ARGV[4] then
    again = done
    -- What is waited for behind a call (WAIT) is what its connection wrote; the call may have come by another one before.
    redis.call('HSET', KEYS[1], ARGV[3], head[6])
  elseif tonumber(n) > tonumber(ARGV[4]) then
    -- A network delivered it again, or late: whoever sent it has his answer, or has given it up.
    return redis.error_reply('SURETYLATE ' .. ARGV[4] .. ' after ' .. n)
  end
end

-- What is kept of a call for the case that it comes again.
local function remembered(first, done) return ARGV[4] .. ' ' .. at .. ' ' .. number(first) .. ' ' .. done end

-- Writes an entry for `count` changes. `done`: what is kept for the case that the call comes again.
local function append(count, done, ...)
  local first = seq + 1
  seq = seq + count
  last = number(seq) .. '-' .. ARGV[6]
  local kept = number(math.max(0, seq - kept_entries))
  redis.call('XADD', KEYS[6], 'MINID', '~', kept, last, 'a', at, 's', number(first), ...)
  local fields = {'seq', number(seq), 'last', last, 'now', at}
  if not head[1] then fields[7], fields[8], head[1] = 'layout', LAYOUT, LAYOUT end
  if done then
    fields[#fields + 1] = ARGV[3]
    fields[#fields + 1] = remembered(first, done)
  end
  redis.call('HSET', KEYS[1], unpack(fields))
  return first
end

-- A call that came to nothing is to do so also when it arrives again late, when it might come to something.
local function came_to_nothing(done)
  redis.call('HSET', KEYS[1], ARGV[3], remembered(seq + 1, done))
end

local function expire(members)
  local ids, ends, gone, forgotten = {}, {}, {}, {}
  for i = 1, #members, 2 do
    local kind, id = string.sub(members[i], 1, 1), string.sub(members[i], 2)
    if kind == 'r' then
      ids[#ids + 1], ends[#ends + 1] = id, tonumber(members[i + 1])
    else
      gone[#gone + 1], forgotten[#forgotten + 1] = members[i], id
    end
  end
  if #forgotten > 0 then redis.call('HDEL', KEYS[7], unpack(forgotten)) end
  local values = get(KEYS[3], ids, 1, #ids)
  local held, when, ended, dropped, names, numbers = {}, {}, {}, {}, {}, {}
  local draws, sums, data = {}, {}, {}
  for i, id in ipairs(ids) do
    local v = values[i]
    local state = v and string.sub(v, 36, 36)
    if state == 'H' or state == 'T' then
      v = string.sub(v, 1, 35) .. 'E' .. string.sub(v, 37)
      held[#held + 1], held[#held + 2] = id, v
      ended[#ended + 1] = id
      data[#data + 1], data[#data + 2] = bin('>I4', #v), v
      when[#when + 1], when[#when + 2] = number(ends[i] + KEEP), 'r' .. id
      local size, pos = unbin('>I4', v, 61)
      local stop, channel, tallies, name, pool, n = pos + size, nil, nil, nil, nil, nil
      if size > 0 then channel, tallies, pos = unbin('>sB', v, pos) end
      for _ = 1, tallies or 0 do
        name, n, pos = unbin('>sl', v, pos)
        sums[name] = (sums[name] or 0) + n
      end
      while pos < stop do
        name, pool, n, pos = unbin('>ssl', v, pos)
        if not numbers[name] then
          names[#names + 1] = name
          numbers[name] = #names
        end
        draws[#draws + 1] = {numbers[name], pool ~= '' and pool, channel ~= '' and channel, n}
      end
    else
      -- It ended long ago: its request id need not be remembered any more.
      dropped[#dropped + 1], gone[#gone + 1] = id, 'r' .. id
    end
  end
  if #dropped > 0 then
    redis.call('HDEL', KEYS[3], unpack(dropped))
    redis.call('ZREM', KEYS[4], unpack(dropped))
  end
  if #gone > 0 then redis.call('ZREM', KEYS[5], unpack(gone)) end
  if #held == 0 then return end
  local raw, levels = get(KEYS[2], names, 1, #names), {}
  for i = 1, #names do levels[i] = read_level(raw[i]) end
  for _, d in ipairs(draws) do give(levels[d[1]], 2, d[2], d[3], d[4]) end
  count(sums)
  local pairs_ = {}
  for i, name in ipairs(names) do
    pairs_[2 * i - 1], pairs_[2 * i] = name, write_level(levels[i])
  end
  put('HSET', KEYS[2], pairs_)
  put('HSET', KEYS[3], held)
  put('ZADD', KEYS[5], when)
  redis.call('ZREM', KEYS[10], unpack(ended))
  append(1, nil, 'k', 'x', 'f', table.concat(names, '\n'), 'l', row(raw, #names), 'd', table.concat(data))
end

local first_due = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
local due = first_due[2] or ''
local more = false
if due ~= '' and tonumber(due) <= now then
  expire(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', at, 'WITHSCORES', 'LIMIT', 0, AT_ONCE))
  first_due = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
  due = first_due[2] or ''
  more = due ~= '' and tonumber(due) <= now
end

-- What the caller has not seen, beginning with the entry that it knows, by which it sees that nothing is missing.
local feed = false
if ARGV[5] ~= '*' and last ~= ARGV[5] then
  feed = redis.call('XRANGE', KEYS[6], ARGV[5] == '' and '-' or ARGV[5], '+', 'COUNT', ENTRIES)
end
if more then return {'due', at, last, due, feed} end
