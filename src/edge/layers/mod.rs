//! The tower layers that every call passes, none of which knows the domain.
//!
//! From the outside in, as they have to be stacked (each must see the refusals of those inside it):
//!
//! 1. [`trace`]: the server span and the duration of every call, refused ones included;
//! 2. [`shed`]: at most so many calls at once in the whole server, the rest is refused at once;
//! 3. [`deadline`]: DEADLINE_EXCEEDED when the caller's time, or the server's patience, is over;
//! 4. [`stop`]: streams end when the service does;
//! 5. [`explain`]: details for the refusals that are not the service's own;
//! 6. [`direct`]: the calls there are most of do not pass the router.
//!
//! The first four share one table of the methods that are served, [`methods::Methods`]. A layer for gRPC-Web belongs outside
//! of them: they read the status from headers and trailers, which it hides in the body.
//!
//! These layers must not read messages, wait for anything but the call itself, or depend on use cases.

pub mod deadline;
pub mod direct;
pub mod explain;
pub mod methods;
pub mod shed;
pub mod stop;
pub mod trace;

#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod testing;
