//! The allocator of the program. Benchmarks that measure time have it too; the one that counts allocations has its own, so the
//! library has none. Commands and answers are made on one thread and dropped on another, which this allocator is made for: holds on
//! Redis cost the server less with it than with the C library's, though holds in memory more (docs/performance.md).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
