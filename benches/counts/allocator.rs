//! An allocator that counts, and that costs the same on every machine: lists of free blocks by powers of two. So the instructions that
//! are counted are the service's own and not those of some C library, and allocations are told as a number of their own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Larger ones are the system's.
const MOST: usize = 1 << 20;
/// What is cut into blocks at a time.
const CHUNK: usize = 4 << 20;
const CLASSES: usize = MOST.trailing_zeros() as usize + 1;

/// How often memory was asked for, growing what there was included.
pub static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

pub struct Counting {
    busy: AtomicBool,
    blocks: UnsafeCell<Blocks>,
}

struct Blocks {
    free: [*mut u8; CLASSES],
    chunk: *mut u8,
    left: usize,
}

// SAFETY: `blocks` is only reached between taking and giving back `busy`.
unsafe impl Sync for Counting {}

impl Counting {
    pub const fn new() -> Counting {
        let blocks = Blocks { free: [null_mut(); CLASSES], chunk: null_mut(), left: 0 };
        Counting { busy: AtomicBool::new(false), blocks: UnsafeCell::new(blocks) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Blocks) -> T) -> T {
        while self.busy.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: nobody else has taken `busy`.
        let done = work(unsafe { &mut *self.blocks.get() });
        self.busy.store(false, Ordering::Release);
        done
    }
}

/// The size of the blocks that this fits into; a block is aligned to its size.
fn class(layout: Layout) -> usize {
    let size = layout.size().max(layout.align()).max(16);
    size.next_power_of_two().trailing_zeros() as usize
}

// SAFETY: a block is as large as its class and aligned to it, and is in one hand or in one list at a time.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        let class = class(layout);
        if class >= CLASSES {
            // SAFETY: passed on as it came.
            return unsafe { System.alloc(layout) };
        }
        self.with(|blocks| {
            let first = blocks.free[class];
            if !first.is_null() {
                // SAFETY: a free block begins with the address of the next.
                blocks.free[class] = unsafe { first.cast::<*mut u8>().read() };
                return first;
            }
            let size = 1 << class;
            let mut gap = blocks.chunk.align_offset(size);
            if blocks.chunk.is_null() || gap + size > blocks.left {
                // SAFETY: the layout is not empty. What was left of the chunk before is never used.
                blocks.chunk = unsafe { System.alloc(Layout::from_size_align_unchecked(CHUNK, MOST)) };
                if blocks.chunk.is_null() {
                    blocks.left = 0;
                    return null_mut();
                }
                (gap, blocks.left) = (0, CHUNK);
            }
            // SAFETY: so much is left.
            let block = unsafe { blocks.chunk.add(gap) };
            blocks.chunk = unsafe { block.add(size) };
            blocks.left -= gap + size;
            block
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let class = class(layout);
        if class >= CLASSES {
            // SAFETY: passed on as it came.
            return unsafe { System.dealloc(block, layout) };
        }
        self.with(|blocks| {
            // SAFETY: the block is given back, and no smaller than an address.
            unsafe { block.cast::<*mut u8>().write(blocks.free[class]) };
            blocks.free[class] = block;
        });
    }
}
