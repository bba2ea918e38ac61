//! The allocator of the program and of whatever measures it. Commands and answers are made on one thread and dropped on another,
//! which this allocator is made for. On two cores no difference beyond the noise was seen (docs/performance.md).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
