-- settle.lua: puts a network that was loaded under other names in its place, all at once.
--
-- KEYS  1 to 11 the keys of open.lua; 12 to 22 the same, as they were loaded
-- ARGV  1 number of keys that were loaded and are there
-- Returns 1, or 0 where there is something in the network already
-- Invariants
--       A network is there whole or not at all. Made twice it says 0 the second time, and changes nothing.

-- The head of an empty network may know calls that came to nothing.
local head = redis.call('HMGET', KEYS[1], 'seq', 'version')
if head[1] or head[2] then return 0 end
for i = 2, 10 do
  -- What was counted of an empty network is of nothing; so are the refusals (11).
  if i ~= 9 and redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
local there = 0
for i = 12, 22 do there = there + redis.call('EXISTS', KEYS[i]) end
if there ~= tonumber(ARGV[1]) then return redis.error_reply('SURETYLOAD ' .. there .. ' of ' .. ARGV[1] .. ' keys are there') end
redis.call('UNLINK', KEYS[9], KEYS[11])
for i = 12, 22 do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('PERSIST', KEYS[i])
    redis.call('RENAME', KEYS[i], KEYS[i - 11])
  end
end
return 1
