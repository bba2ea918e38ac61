-- repair.lua: adds what an audit found missing to buckets, or takes away what was too much: differences, which stay right while
-- others draw and give back.
--
-- KEYS  as in open.lua
-- ARGV  1 to 8 as in open.lua
--       9 number of repairs; then for each: the bucket's name, which of its numbers (2 held, 3 confirmed, 4 fulfilled, 0 a pool), the
--       pool's name or '', and what to add
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
  elseif side > 0 then
    l[side] = math.max(0, l[side] + by)
  else
    -- One entry of the pool is left, with what all of them had and `by` more; none of common, which is no pool.
    local pools, place, left = {}, nil, 0
    for _, p in ipairs(l.pools or {}) do
      if p[1] == pool then
        place = place or #pools + 1
        left = left + p[2]
      else
        pools[#pools + 1] = p
      end
    end
    local there = place ~= nil
    left = math.max(0, left + by)
    if pool ~= '' and (there or left > 0) then table.insert(pools, place or #pools + 1, {pool, left}) end
    l.pools = #pools > 0 and pools or nil
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
