//! The servers and the bad networks that other tests stand on do what they say.

mod cluster;
mod framing;
mod proxy;
mod sentinels;
mod server;

#[path = "../redis_world/mod.rs"]
mod redis_world;
