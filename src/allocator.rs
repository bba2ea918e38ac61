//! The allocator of the program and of whatever measures it. Commands and answers are made on one thread and dropped on another,
//! which the system's allocator is slow at: docs/performance.md has the difference.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
