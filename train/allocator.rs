//! Running out of memory is an error with a hint and an exit code, not an abort.
//!
//! In: requests for memory. Out: memory; or, where there is none, `error:` and `hint:` on standard error and the end of
//! the process with [`EXIT_CODE`]. What was saved is on disk: files appear whole or not at all.
//! Example: under `ulimit -v 2000000` a model of 4 GB ends with `error: out of memory: 4096 MiB more were asked for`.

#![allow(
    unsafe_code,
    reason = "an allocator deals in raw pointers, and ends without the memory to say goodbye"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};

use mimalloc::MiMalloc;
use nix::libc;

/// The exit code of a process that could get no more memory.
const EXIT_CODE: i32 = train::exit_code::OUT_OF_MEMORY as i32;
const ERROR: &str = "error: out of memory: ";
const HINT: &str = "hint: use smaller micro-batches (`sft.micro_batch_tokens`, `grpo.micro_batch_tokens`) or fewer rows \
     (`eval.decode_rows`, `grpo.decode_rows`), free some memory, or raise what limits it (`ulimit -v`, a control group); \
     `--resume` goes on with what was saved\n";

/// mimalloc, and words where it fails.
pub struct Allocator {
    inner: MiMalloc,
    speaks: AtomicBool,
}

impl Allocator {
    /// One that aborts where it fails, as a child does whose limits are meant to be reached.
    pub const fn new() -> Self {
        Allocator {
            inner: MiMalloc,
            speaks: AtomicBool::new(false),
        }
    }

    /// From here on a failure is told. So is a thread that could not be started for want of memory.
    pub fn speak(&self) {
        self.speaks.store(true, Ordering::Relaxed);
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let said = panic.payload_as_str().unwrap_or_default();
            if [
                "failed to spawn thread",
                "thread pool has not been initialized",
            ]
            .iter()
            .any(|why| said.contains(why))
            {
                end(&["a thread could not be started\n"]);
            }
            usual(panic);
        }));
    }

    fn checked(&self, pointer: *mut u8, bytes: usize) -> *mut u8 {
        if pointer.is_null() && self.speaks.load(Ordering::Relaxed) {
            let mut digits = [0; 20];
            end(&[
                decimal(bytes.div_ceil(1 << 20), &mut digits),
                " MiB more were asked for\n",
            ]);
        }
        pointer
    }
}

// SAFETY: every call is mimalloc's own; a null pointer is passed on, or nothing is returned at all.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        self.checked(unsafe { self.inner.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        self.checked(unsafe { self.inner.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        self.checked(unsafe { self.inner.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { self.inner.dealloc(pointer, layout) }
    }
}

/// Says why, and ends the process: nothing on this way needs memory.
fn end(why: &[&str]) -> ! {
    for text in [&[ERROR], why, &[HINT]].into_iter().flatten() {
        // SAFETY: the pointer and the length are those of the text.
        unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
    }
    // SAFETY: handlers at the end would want memory, too; files are whole or not there.
    unsafe { libc::_exit(EXIT_CODE) }
}

/// A number as text, in a buffer that is large enough for any.
fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return std::str::from_utf8(&digits[at..]).expect("digits are ASCII");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_without_memory() {
        let told = |number| decimal(number, &mut [0; 20]).to_owned();
        assert_eq!(
            [told(0), told(4096), told(usize::MAX)],
            ["0", "4096", "18446744073709551615"]
        );
    }

    #[test]
    fn what_cannot_be_had_is_null_while_nobody_speaks() {
        let layout = Layout::from_size_align(isize::MAX as usize / 2, 16).expect("a layout");
        // SAFETY: the layout has a size.
        assert!(unsafe { Allocator::new().alloc(layout) }.is_null());
    }
}
