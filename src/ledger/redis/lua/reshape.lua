-- reshape.lua: applies a network, and forgets buckets: the steps that are about whole resources.
--
-- Buckets are fields of one hash, and a script that looked for those of a resource would look through all of them. So the caller
-- has listed them before, as of a place in the feed, and this script sees to it that none was touched since.
--
-- KEYS  as in open.lua, and 12 the new document, 13 the old one (both also where nothing is applied)
-- ARGV  1 to 8 as in open.lua
--       9 'network' or 'forget'   10 the stream id as of which buckets were listed
--       11 number of resources; then for each: its name, its first bucket that is kept, how many buckets were listed before that one,
--       and their names
--       of a network, then: the version that it was worked out against, the document's digest, the instant it was
--       applied at, the name of its document, the name of the old one
-- Returns {'done', at, first, last, version, due, code, '', extras, feed}
--       code: A it was made, and is entry `first`; O there was nothing to change; W another version is there; C resources carry
--       reservations: their numbers are in extras; R the list is out of date, it must be made anew
-- Invariants
--       No bucket that carries a reservation is forgotten, and none of a resource that is dropped is left behind.

if again then
  local instant, first, code, numbers = string.match(again, '^(%d+) (%d+) (%a) ?(.*)$')
  local extras = {}
  for n in string.gmatch(numbers, '%d+') do extras[#extras + 1] = n end
  return {'again', instant, first, last, number(version), due, code, '', extras, feed}
end

local what, listed, count = ARGV[9], ARGV[10], tonumber(ARGV[11])
local resources, pos = {}, 12
for i = 1, count do
  local name, kept, n = ARGV[pos], ARGV[pos + 1], tonumber(ARGV[pos + 2])
  resources[i] = {name = name, kept = kept, from = pos + 3, to = pos + 2 + n}
  pos = pos + 3 + n
end

local function reply(code, first, extras)
  if code ~= 'A' then came_to_nothing(code .. ' ' .. table.concat(extras or {}, ',')) end
  return {'done', at, first, last, number(version), due, code, '', extras or {}, feed}
end

local nothing = number(seq + 1)
local base, digest, applied, document, old
if what == 'network' then
  base, digest, applied, document, old = tonumber(ARGV[pos]), ARGV[pos + 1], ARGV[pos + 2], ARGV[pos + 3], ARGV[pos + 4]
  local present = redis.call('HMGET', KEYS[1], 'digest', 'document')
  if version > 0 and present[1] == digest then return reply('O', nothing) end
  if base ~= version then return reply('W', nothing) end
  if (present[2] or '') ~= old or redis.call('EXISTS', KEYS[12]) == 0 then return reply('R', nothing) end
end

local function untouched()
  if last == listed or count == 0 then return true end
  local entries = redis.call('XRANGE', KEYS[6], listed == '' and '-' or listed, '+')
  if listed ~= '' and (not entries[1] or entries[1][1] ~= listed) then return false end
  for i, entry in ipairs(entries) do
    if i > 1 or listed == '' then
      local fields = entry[2]
      for f = 1, #fields, 2 do
        if fields[f] == 'f' then
          local names = '\n' .. fields[f + 1] .. '\n'
          for _, r in ipairs(resources) do
            local start, stop = 0, nil
            repeat
              start, stop = string.find(names, '\n' .. r.name .. ':', start + 1, true)
              if stop and string.match(names, '^%-?%d+\n', stop + 1) then return false end
            until not start
          end
        end
      end
    end
  end
  return true
end
if not untouched() then return reply('R', nothing) end

local carrying, dropped, gone, names, kept = {}, {}, {}, {}, {}
for i, r in ipairs(resources) do
  local values = get(KEYS[2], ARGV, r.from, r.to)
  local before, mine = 0, {}
  for b = 1, r.to - r.from + 1 do
    if values[b] then
      before = before + 1
      local l = read_level(values[b])
      if l[2] > 0 or l[3] > 0 then
        mine[#mine + 1] = {ARGV[r.from + b - 1], values[b]}
      else
        gone[#gone + 1] = ARGV[r.from + b - 1]
      end
    end
  end
  if what == 'network' and #mine > 0 then carrying[#carrying + 1] = i end
  if #mine < before then
    dropped[#dropped + 1] = r.name .. '\t' .. r.kept
    for _, bucket in ipairs(mine) do
      names[#names + 1], kept[#kept + 1] = bucket[1], bucket[2]
    end
  end
end
if #carrying > 0 then return reply('C', nothing, carrying) end
if what == 'forget' and #dropped == 0 then return reply('O', nothing) end

if #gone > 0 then put('HDEL', KEYS[2], gone) end
if what == 'network' then
  version = version + 1
  redis.call('HSET', KEYS[1], 'version', number(version), 'digest', digest, 'applied', applied, 'document', document)
  redis.call('PERSIST', KEYS[12])
  if old ~= '' and old ~= document then redis.call('UNLINK', KEYS[13]) end
end
local first = append(1, 'A', 'k', what == 'network' and 'n' or 'f', 'r', table.concat(dropped, '\n'), 'f', table.concat(names, '\n'),
  'l', row(kept, #names), 'v', number(version), 't', applied or '0', 'u', document or '')
return reply('A', number(first))
