//! What is in the kernel: the programs and maps of one process, and those that no process holds.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::rig::run;

/// A kind of object of the BPF subsystem: bpftool's word for it and its key in `fdinfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A loaded program.
    Program,
    /// A map.
    Map,
    /// An attachment.
    Link,
}

const KINDS: [(Kind, &str, &str); 3] =
    [(Kind::Program, "prog", "prog_id:"), (Kind::Map, "map", "map_id:"), (Kind::Link, "link", "link_id:")];

/// Objects by kind and the kernel's number for them.
pub type Objects = BTreeSet<(Kind, u64)>;

/// What the process holds through its file descriptors; nothing when it is gone.
pub fn held_by(pid: &str) -> Objects {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = descriptors.filter_map(|descriptor| fs::read_to_string(descriptor.path()).ok());
    texts.flat_map(|text| text.lines().filter_map(object_of_line).collect::<Vec<_>>()).collect()
}

fn object_of_line(line: &str) -> Option<(Kind, u64)> {
    KINDS.iter().find_map(|(kind, _, key)| Some((*kind, line.strip_prefix(key)?.trim().parse().ok()?)))
}

/// All objects in the kernel.
pub fn all() -> Result<Objects, Failed> {
    let mut objects = Objects::new();
    for (kind, word, _) in KINDS {
        let listed: Value = serde_json::from_str(&run("bpftool", &["-j", word, "show"])?)?;
        let ids = listed.as_array().into_iter().flatten().filter_map(|object| object["id"].as_u64());
        objects.extend(ids.map(|id| (kind, id)));
    }
    Ok(objects)
}

/// Objects that no process holds: something in the kernel keeps them.
pub fn orphans() -> Result<Objects, Failed> {
    let mut objects = all()?;
    for process in fs::read_dir("/proc")?.flatten() {
        for held in held_by(&process.file_name().to_string_lossy()) {
            objects.remove(&held);
        }
    }
    Ok(objects)
}

/// Runs a test and checks that it leaves nothing behind.
pub fn leaves_nothing(test: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let before = orphans()?;
    test()?;
    settle(|| {
        let left = orphans()?.difference(&before).copied().collect::<Objects>();
        if left.is_empty() { Ok(()) } else { Err(format!("left in the kernel: {left:?}").into()) }
    })
}

/// Tries until it holds, a second at most: the kernel frees after a grace period.
pub fn settle(mut check: impl FnMut() -> Result<(), Failed>) -> Result<(), Failed> {
    for _ in 0..20 {
        if check().is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    check()
}

/// The keys of the map `name` of a process, as integers.
pub fn keys_of_map(pid: u32, name: &str) -> Result<BTreeSet<u64>, Failed> {
    Ok(entries_of_map(pid, name)?.iter().map(|entry| integer(&bytes(&entry["key"]))).collect())
}

/// The value that each CPU has of the only element of the map `name` of a process.
pub fn values_of_cpus(pid: u32, name: &str) -> Result<Vec<Vec<u8>>, Failed> {
    let entries = entries_of_map(pid, name)?;
    let cpus = entries.iter().filter_map(|entry| entry["values"].as_array()).flatten();
    Ok(cpus.map(|cpu| bytes(&cpu["value"])).collect())
}

/// The entries of the map `name` of a process, as bpftool shows them.
fn entries_of_map(pid: u32, name: &str) -> Result<Vec<Value>, Failed> {
    for (kind, id) in held_by(&pid.to_string()) {
        if kind != Kind::Map {
            continue;
        }
        let id = id.to_string();
        let map: Value = serde_json::from_str(&run("bpftool", &["-j", "map", "show", "id", &id])?)?;
        if map["name"].as_str().is_some_and(|found| found.contains(name)) {
            let entries: Value = serde_json::from_str(&run("bpftool", &["-j", "map", "dump", "id", &id])?)?;
            return Ok(entries.as_array().cloned().unwrap_or_default());
        }
    }
    Err(format!("the process holds no map named {name}").into())
}

/// Bytes that bpftool prints as `["0x01", ...]`.
fn bytes(shown: &Value) -> Vec<u8> {
    let texts = shown.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(|text| u8::from_str_radix(text.strip_prefix("0x")?, 16).ok()).collect()
}

/// The value of little-endian bytes.
pub fn integer(bytes: &[u8]) -> u64 {
    (0..).zip(bytes).fold(0, |sum, (place, &byte)| sum | u64::from(byte) << (8 * place))
}
