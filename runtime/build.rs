//! How the binaries are linked.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Relocations in their short form: 110 kB less to read at each start.
    if glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The glibc that the binaries will run with, where it is one: older ones do not know that form.
fn glibc() -> Option<(u32, u32)> {
    if std::env::var("CARGO_CFG_TARGET_ENV").ok()? != "gnu" {
        return None;
    }
    let said = String::from_utf8(Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
