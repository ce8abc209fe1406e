//! mmap(2): perf buffers, a map's memory, and files that are read in place.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya_obj::generated::perf_event_mmap_page;

use super::{Call, Refused, page_size};

/// Memory that is unmapped when dropped.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, len: usize, protection: i32, flags: i32) -> Result<Self, Refused> {
        // SAFETY: the kernel chooses the address, so no existing mapping is touched.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(Refused::last(Call::Mmap));
        }
        let start = NonNull::new(start.cast()).ok_or(Refused { call: Call::Mmap, errno: libc::ENOMEM })?;
        Ok(Self { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are those of a mapping of our own, and nobody borrows from it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// A file seen as memory. For files that do not change while they are open, as those of sysfs.
#[derive(Debug)]
pub struct MappedFile(Mapping);

impl MappedFile {
    /// The first `len` bytes of `file`.
    ///
    /// # Errors
    /// The kernel cannot map this file (sysfs learnt it for BTF in 6.16).
    pub fn new(file: &File, len: usize) -> Result<Self, Refused> {
        use std::os::fd::AsFd;
        Mapping::new(file.as_fd(), len, libc::PROT_READ, libc::MAP_PRIVATE).map(Self)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable for `len` bytes as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.len) }
    }
}

/// The value of an array map of one element that was made to be mapped, as 64-bit words which programs
/// change meanwhile.
///
/// A system call that reads a map keeps tracing programs off this CPU while it lasts. If the reader is put
/// off the CPU right then, events of whoever runs instead are not seen, and nothing tells of it (160 page
/// faults at once, on an emulated Linux 7.2). Reading memory keeps nobody off.
#[derive(Debug)]
pub struct MappedWords {
    mapping: Mapping,
    count: usize,
}

impl MappedWords {
    /// Maps the first `len` bytes of the value of `map`, whole words.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn new(map: BorrowedFd<'_>, len: usize) -> Result<Self, Refused> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let mapping = Mapping::new(map, len.next_multiple_of(page_size()), protection, libc::MAP_SHARED)?;
        Ok(Self { mapping, count: len / 8 })
    }

    /// The words.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping begins at a page, holds `count` words as long as `self` lives, and all
        // others change them atomically too.
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr().cast(), self.count) }
    }
}

/// The mapped buffer of a perf event: one page of control data and a ring of bytes.
#[derive(Debug)]
pub struct RingMemory {
    mapping: Mapping,
    data: usize,
    size: usize,
}

impl RingMemory {
    /// Maps a ring of `pages` pages, a power of two, for `event`.
    ///
    /// # Errors
    /// The kernel's refusal: EPERM when it is more than a user without CAP_IPC_LOCK may lock.
    pub fn new(event: BorrowedFd<'_>, pages: usize) -> Result<Self, Refused> {
        let (data, size) = (page_size(), pages * page_size());
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let mapping = Mapping::new(event, data + size, protection, libc::MAP_SHARED)?;
        Ok(Self { mapping, data, size })
    }

    /// Bytes of the ring.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Where the kernel will write next; counts up and is never wrapped.
    pub fn head(&self) -> u64 {
        // Acquire: the bytes before the head are read only after the head.
        self.control(std::mem::offset_of!(perf_event_mmap_page, data_head)).load(Ordering::Acquire)
    }

    /// How far the reader has come.
    pub fn tail(&self) -> u64 {
        // Only this reader writes the tail.
        self.control(std::mem::offset_of!(perf_event_mmap_page, data_tail)).load(Ordering::Relaxed)
    }

    /// Gives the bytes before `tail` back to the kernel.
    pub fn set_tail(&self, tail: u64) {
        // Release: the bytes have been copied out before the kernel may write there.
        self.control(std::mem::offset_of!(perf_event_mmap_page, data_tail)).store(tail, Ordering::Release);
    }

    /// Appends the bytes from `from` to `to` (positions as `head` counts) to `out`; at most a
    /// ring's size of them.
    pub fn copy(&self, from: u64, to: u64, out: &mut Vec<u8>) {
        let len = (to.wrapping_sub(from) as usize).min(self.size);
        let start = from as usize % self.size;
        let first = len.min(self.size - start);
        out.reserve(len);
        // SAFETY: both parts lie in the ring (`start + first <= size`, `len - first <= start`'s
        // complement), the kernel does not write between tail and head, `out` has room for `len`.
        unsafe {
            let ring = self.mapping.start.as_ptr().add(self.data);
            let end = out.as_mut_ptr().add(out.len());
            std::ptr::copy_nonoverlapping(ring.add(start), end, first);
            std::ptr::copy_nonoverlapping(ring, end.add(first), len - first);
            out.set_len(out.len() + len);
        }
    }

    fn control(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: both offsets are those of aligned `u64`s in the control page, which the kernel
        // accesses with the matching barriers.
        unsafe { AtomicU64::from_ptr(self.mapping.start.as_ptr().add(offset).cast()) }
    }
}
