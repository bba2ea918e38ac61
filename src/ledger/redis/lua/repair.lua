-- repair.lua: adds what an audit found missing to buckets, or takes away what was too much: differences, which stay right while
-- others draw and give back.
--
-- KEYS  as in open.lua
-- ARGV  1 to 8 as in open.lua
--       9 number of repairs; then for each: the bucket's name, which of its numbers (2 held, 3 confirmed, 4 fulfilled, 0 drawn of a
--       pool, 1 drawn by a channel), the pool's or channel's name or '', and what to add
-- Returns {'done', at, first, last, version, due, code, '', {number of buckets that changed}, feed}
--       code: A it was made, and is entry `first`; O nothing changed
-- Invariants
--       Nothing falls below zero by it.

if again then
  local instant, first, code = string.match(again, '^(%d+) (%d+) (.*)$')
  return {'again', instant, first, last, number(version), due, code, '', {0}, feed}
end

local names, raw, levels, seen = {}, {}, {}, {}
for i = 1, tonumber(ARGV[9]) do
  local from = 10 + 4 * (i - 1)
  local name, side, pool, by = ARGV[from], tonumber(ARGV[from + 1]), ARGV[from + 2], tonumber(ARGV[from + 3])
  local n = seen[name]
  if not n then
    n = #names + 1
    names[n], raw[n] = name, redis.call('HGET', KEYS[2], name)
    seen[name], levels[n] = n, read_level(raw[n])
  end
  local l = levels[n]
  if not raw[n] and by <= 0 then
    -- What is not known has nothing too much.
  elseif side > 1 then
    l[side] = math.max(0, l[side] + by)
  elseif side == 1 then
    local c = channel_of(l, pool)
    c[2] = math.max(0, c[2] + by)
    tidy_channel(l, pool)
  elseif pool ~= '' then
    local p = pool_of(l, pool)
    p[3] = math.max(0, p[3] + by)
    tidy_pool(l, pool)
  end
end
local changed, after, written = {}, {}, {}
for n, name in ipairs(names) do
  local v = write_level(levels[n])
  if v ~= (raw[n] or write_level(read_level(false))) then
    changed[#changed + 1], after[#after + 1] = name, v
    written[#written + 1], written[#written + 2] = name, v
  end
end
if #changed == 0 then
  came_to_nothing('O')
  return {'done', at, number(seq + 1), last, number(version), due, 'O', '', {0}, feed}
end
put('HSET', KEYS[2], written)
local first = append(1, 'A', 'k', 'r', 'f', table.concat(changed, '\n'), 'l', row(after, #after))
return {'done', at, number(first), last, number(version), due, 'A', '', {#changed}, feed}
