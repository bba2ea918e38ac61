-- settle.lua: puts a network that was loaded under other names in its place, all at once.
--
-- KEYS  1 to 7 the keys of open.lua; 8 to 14 the same, as they were loaded
-- ARGV  1 number of keys that were loaded and are there
-- Returns 1, or 0 where there is something in the network already
-- Invariants
--       A network is there whole or not at all. Made twice it says 0 the second time, and changes nothing.

-- The head of an empty network may know calls that came to nothing.
local head = redis.call('HMGET', KEYS[1], 'seq', 'version')
if head[1] or head[2] then return 0 end
for i = 2, 7 do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
local there = 0
for i = 8, 14 do there = there + redis.call('EXISTS', KEYS[i]) end
if there ~= tonumber(ARGV[1]) then return redis.error_reply('SURETYLOAD ' .. there .. ' of ' .. ARGV[1] .. ' keys are there') end
for i = 8, 14 do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('PERSIST', KEYS[i])
    redis.call('RENAME', KEYS[i], KEYS[i - 7])
  end
end
return 1
