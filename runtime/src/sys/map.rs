//! bpf(2): elements of maps whose key and value sizes are known at run time only.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya::maps::{MapData, MapError, MapType};
use aya_obj::generated::{BPF_ANY, BPF_EXIST, bpf_attr, bpf_cmd};

use super::bpf::{bpf, zeroed};
use super::{Call, Refused};

/// A map seen as bytes: keys of one size, values of one size.
///
/// The sizes are the kernel's own answers, so what the kernel writes always fits.
#[derive(Clone, Copy, Debug)]
pub struct RawMap<'a> {
    fd: BorrowedFd<'a>,
    key_size: usize,
    value_size: usize,
}

/// A map seen as bytes that keeps itself open.
#[derive(Debug)]
pub struct OwnedMap {
    fd: OwnedFd,
    key_size: usize,
    value_size: usize,
}

impl OwnedMap {
    /// The map.
    pub fn raw(&self) -> RawMap<'_> {
        RawMap { fd: self.fd.as_fd(), key_size: self.key_size, value_size: self.value_size }
    }
}

/// Where the reading of a map by [`RawMap::lookup_batch`] stands; at first at the beginning.
#[derive(Clone, Debug, Default)]
pub struct Cursor(Option<Vec<u8>>);

impl<'a> RawMap<'a> {
    /// The bytes of `map`.
    ///
    /// # Errors
    /// The kernel does not tell the map's sizes, or how many CPUs are possible.
    pub fn of(map: &'a MapData) -> Result<Self, MapError> {
        let info = map.info()?;
        let value_size = match info.map_type()? {
            MapType::PerCpuHash | MapType::PerCpuArray | MapType::LruPerCpuHash => {
                let cpus = aya::util::nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
                (info.value_size() as usize).next_multiple_of(8) * cpus
            }
            MapType::PerfEventArray => size_of::<u32>(),
            _ => info.value_size() as usize,
        };
        Ok(Self { fd: map.fd().as_fd(), key_size: info.key_size() as usize, value_size })
    }

    /// The same map by a descriptor of its own.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn duplicate(&self) -> io::Result<OwnedMap> {
        let fd = self.fd.try_clone_to_owned()?;
        Ok(OwnedMap { fd, key_size: self.key_size, value_size: self.value_size })
    }

    /// Bytes of a key.
    pub fn key_size(&self) -> usize {
        self.key_size
    }

    /// Bytes of a value as the kernel hands it out: for a per-CPU map those of all possible CPUs,
    /// each rounded up to a multiple of 8.
    pub fn value_size(&self) -> usize {
        self.value_size
    }

    /// Reads the value of `key` into `value`; false when there is none.
    ///
    /// # Errors
    /// The kernel's refusal.
    ///
    /// # Panics
    /// When `key` or `value` has not the map's size.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> Result<bool, Refused> {
        let mut attr = self.element(key);
        assert_eq!(value.len(), self.value_size, "the value's size is the map's");
        attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
        // SAFETY: key and value have the sizes by which the kernel reads and writes.
        found(unsafe { bpf(Call::MapLookup, bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) })
    }

    /// Reads as many entries as fit into `keys` and `values` (whole keys and values side by side),
    /// from where `cursor` stands, and moves it on. Gives how many were read, and whether there may
    /// be more. No entry is read twice.
    ///
    /// # Errors
    /// The kernel's refusal: ENOSPC when what belongs together does not fit, EINVAL or ENOTSUPP
    /// when it cannot read many entries of such a map.
    ///
    /// # Panics
    /// When `values` has not as many values as `keys` has keys.
    pub fn lookup_batch(
        &self,
        cursor: &mut Cursor,
        keys: &mut [u8],
        values: &mut [u8],
    ) -> Result<(usize, bool), Refused> {
        let room = keys.len() / self.key_size;
        assert_eq!(values.len(), room * self.value_size, "a value for each key");
        let mut next = vec![0; self.key_size.max(size_of::<u64>())];
        let mut attr = zeroed();
        attr.batch.in_batch = cursor.0.as_ref().map_or(0, |from| from.as_ptr() as u64);
        attr.batch.out_batch = next.as_mut_ptr() as u64;
        attr.batch.keys = keys.as_mut_ptr() as u64;
        attr.batch.values = values.as_mut_ptr() as u64;
        attr.batch.count = room as u32;
        attr.batch.map_fd = self.fd.as_raw_fd() as u32;
        // SAFETY: there is room for `count` keys and values of the map's sizes, and both cursors
        // are at least as large as its key and as a bucket's number.
        let more = found(unsafe { bpf(Call::MapLookup, bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) })?;
        cursor.0 = Some(next);
        // SAFETY: `batch` is the member that was filled in, and the kernel has written `count`.
        Ok((unsafe { attr.batch.count } as usize, more))
    }

    /// Sets the value of `key`, which need not exist.
    ///
    /// # Errors
    /// The kernel's refusal.
    ///
    /// # Panics
    /// When `key` or `value` has not the map's size.
    pub fn update(&self, key: &[u8], value: &[u8]) -> Result<(), Refused> {
        self.set(key, value, BPF_ANY).map(drop)
    }

    fn set(&self, key: &[u8], value: &[u8], flags: u32) -> Result<libc::c_long, Refused> {
        let mut attr = self.element(key);
        assert_eq!(value.len(), self.value_size, "the value's size is the map's");
        attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_ptr() as u64;
        attr.__bindgen_anon_2.flags = u64::from(flags);
        // SAFETY: key and value have the sizes by which the kernel reads.
        unsafe { bpf(Call::MapUpdate, bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }
    }

    /// Deletes `key`; false when it did not exist.
    ///
    /// # Errors
    /// The kernel's refusal.
    ///
    /// # Panics
    /// When `key` has not the map's size.
    pub fn delete(&self, key: &[u8]) -> Result<bool, Refused> {
        let mut attr = self.element(key);
        // SAFETY: the key has the size by which the kernel reads.
        found(unsafe { bpf(Call::MapDelete, bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) })
    }

    /// Writes the key after `key` (the first without one) into `next`; false at the end.
    ///
    /// # Errors
    /// The kernel's refusal.
    ///
    /// # Panics
    /// When `key` or `next` has not the map's size.
    pub fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> Result<bool, Refused> {
        let mut attr = match key {
            Some(key) => self.element(key),
            None => self.no_element(),
        };
        assert_eq!(next.len(), self.key_size, "the key's size is the map's");
        attr.__bindgen_anon_2.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
        // SAFETY: both keys have the size by which the kernel reads and writes; null means first.
        found(unsafe { bpf(Call::MapNextKey, bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) })
    }

    /// Deletes all entries of a hash map.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete_all(&self) -> Result<(), Refused> {
        self.for_each_key(|key| self.delete(key).map(drop))
    }

    /// Sets the values of all entries to zero.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn zero_all(&self) -> Result<(), Refused> {
        let zero = vec![0; self.value_size];
        self.for_each_key(|key| found(self.set(key, &zero, BPF_EXIST)).map(drop))
    }

    /// Visits the keys. The next one is asked for before a key is visited: from a deleted key the
    /// kernel would start over, past all the buckets that have become empty.
    fn for_each_key(&self, mut visit: impl FnMut(&[u8]) -> Result<(), Refused>) -> Result<(), Refused> {
        let (mut key, mut next) = (vec![0; self.key_size], vec![0; self.key_size]);
        let mut more = self.next_key(None, &mut key)?;
        while more {
            more = self.next_key(Some(&key), &mut next)?;
            visit(&key)?;
            std::mem::swap(&mut key, &mut next);
        }
        Ok(())
    }

    fn no_element(&self) -> bpf_attr {
        let mut attr = zeroed();
        attr.__bindgen_anon_2.map_fd = self.fd.as_raw_fd() as u32;
        attr
    }

    fn element(&self, key: &[u8]) -> bpf_attr {
        assert_eq!(key.len(), self.key_size, "the key's size is the map's");
        let mut attr = self.no_element();
        attr.__bindgen_anon_2.key = key.as_ptr() as u64;
        attr
    }
}

/// Turns "no such entry" into `false`.
fn found(result: Result<libc::c_long, Refused>) -> Result<bool, Refused> {
    match result {
        Ok(_) => Ok(true),
        Err(refused) if refused.errno == libc::ENOENT => Ok(false),
        Err(refused) => Err(refused),
    }
}
