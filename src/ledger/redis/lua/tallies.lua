-- tallies.lua: what was counted, and the place in the feed up to which it was, in one look.
--
-- KEYS  1 head  2 tallies
-- Returns {id of the feed's newest element or nothing, {name, number, ...}}
-- Invariants
--       Nothing is changed by it.

return {redis.call('HGET', KEYS[1], 'last'), redis.call('HGETALL', KEYS[2])}
