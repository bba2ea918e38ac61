-- repair.lua: adds what an audit found missing to buckets, or takes away what was too much: differences, which stay right while
-- others draw and give back.
--
-- KEYS  as in open.lua
-- ARGV  1 to 8 as in open.lua
--       9 number of repairs; then for each: the bucket's name, and what to add to held, to confirmed and to fulfilled units
-- Returns {'done', at, first, last, version, due, 'A', '', {}, feed}
-- Invariants
--       Nothing falls below zero by it.

if again then
  local instant, first, code = string.match(again, '^(%d+) (%d+) (.*)$')
  return {'again', instant, first, last, number(version), due, code, '', {}, feed}
end

local names, raw, written, levels, seen = {}, {}, {}, {}, {}
for i = 1, tonumber(ARGV[9]) do
  local at_ = 10 + 4 * (i - 1)
  local name = ARGV[at_]
  local n = seen[name]
  if not n then
    n = #names + 1
    names[n], raw[n] = name, redis.call('HGET', KEYS[2], name)
    seen[name], levels[n] = n, read_level(raw[n])
  end
  for side = 2, 4 do
    levels[n][side] = math.max(0, levels[n][side] + tonumber(ARGV[at_ + side - 1]))
  end
end
for n, name in ipairs(names) do
  raw[n] = write_level(levels[n])
  written[2 * n - 1], written[2 * n] = name, raw[n]
end
local first = number(seq + 1)
if #names > 0 then
  put('HSET', KEYS[2], written)
  first = number(append(1, 'A', 'k', 'r', 'f', table.concat(names, '\n'), 'l', row(raw, #names)))
end
return {'done', at, first, last, number(version), due, 'A', '', {}, feed}
