//! Builds what the guests run: the tool and its generator, linked statically, in an initramfs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::{self, CASES};
use crate::initramfs::Initramfs;
use crate::rig::need;
use crate::rig::toolbox::TOOLBOX;

/// The target is named so that Cargo does not link build scripts and macros statically too.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const COMMANDS: [&str; 2] = ["pfscript", "page_fault_gen"];

/// Builds the archive that every guest boots with.
///
/// # Errors
/// What could not be built, read or written.
pub fn build_initramfs() -> Result<PathBuf, String> {
    let folder = build_static()?;
    let mut archive = Initramfs::new();
    let busybox = need::command_path("busybox").ok_or("no busybox")?;
    archive.command_from("bin/busybox", &busybox)?;
    for command in COMMANDS {
        archive.command_from(&format!("bin/{command}"), &folder.join(command))?;
    }
    archive.command("init", include_bytes!("init"));
    archive.text("bin/case_functions", include_str!("case_functions"));
    for (name, text) in cases::scripts() {
        archive.text(&format!("scripts/{name}"), &text);
    }
    for case in CASES {
        archive.text(&format!("cases/{}", case.name), case.commands);
    }
    for tool in TOOLBOX {
        archive.text(&format!("cases/{}", cases::name_of(tool)), &cases::commands_of(tool));
    }
    let file = scratch().join("initramfs.cpio");
    archive.write_to(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

/// Builds the commands statically, in a target folder of their own; returns where they are.
fn build_static() -> Result<PathBuf, String> {
    let target = scratch().join("static");
    fs::create_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--profile", "vm", "--package", "pfscript", "--bins"]);
    cargo.args(["--target", TARGET]).arg("--target-dir").arg(&target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("RUSTFLAGS", "-C target-feature=+crt-static");
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("the static build failed: {status}"));
    }
    Ok(target.join(TARGET).join("vm"))
}

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
