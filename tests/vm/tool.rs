//! Builds what runs in the guests: the tool, its generator and two test binaries, linked statically, in an
//! initramfs. The host runs the same files.
//!
//! The test binaries know the tool and the tree by the paths of this machine; in a guest the same paths
//! lead to copies.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cases::{self, Set};
use crate::initramfs::Initramfs;
use crate::rig::need;

/// The target is named so that Cargo does not link build scripts and macros statically too.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const TESTS: [&str; 2] = ["suite", "fuzz"];
/// The folders of the tree that the guests have.
const TREE: [&str; 2] = ["../tests/cases/run", "../scripts"];

/// What every machine of the matrix runs.
pub struct Tool {
    /// Commands and `run_cases`, for the host.
    pub folder: PathBuf,
    /// The cases of the host.
    pub cases: PathBuf,
    /// The guests' file system.
    pub initramfs: PathBuf,
}

impl Tool {
    /// Builds all of it.
    ///
    /// # Errors
    /// What could not be built, read or written.
    pub fn build() -> Result<Self, String> {
        let commands = build_static()?;
        let folder = fresh_folder("machine")?;
        let cases = folder.join("cases");
        let initramfs = scratch().join("initramfs.cpio");
        write_host(&folder, &commands).map_err(|error| format!("{}: {error}", folder.display()))?;
        guest(&commands)?.write_to(&initramfs).map_err(|error| format!("{}: {error}", initramfs.display()))?;
        Ok(Self { folder, cases, initramfs })
    }
}

/// A command's name, and the file that was built.
type Built = (String, PathBuf);

/// The shell's part of the work: name and contents.
const SHELL: &[(&str, &[u8])] =
    &[("run_cases", include_bytes!("guest/run_cases")), ("case_functions", include_bytes!("guest/case_functions"))];

fn write_host(folder: &Path, commands: &[Built]) -> std::io::Result<()> {
    for (name, file) in commands {
        std::os::unix::fs::symlink(file, folder.join(name))?;
    }
    for (name, contents) in SHELL {
        fs::write(folder.join(name), contents)?;
    }
    for (name, text) in cases::scripts() {
        fs::write(folder.join(name), text)?;
    }
    let cases = folder.join("cases");
    fs::create_dir_all(&cases)?;
    Set::Host.cases().try_for_each(|case| fs::write(cases.join(case.name), case.commands))
}

fn guest(commands: &[Built]) -> Result<Initramfs, String> {
    let mut archive = Initramfs::new();
    let busybox = need::command_path("busybox").ok_or("no busybox")?;
    archive.command_from("bin/busybox", &busybox)?;
    for (name, file) in commands {
        archive.command_from(&format!("bin/{name}"), file)?;
    }
    for (name, contents) in SHELL {
        archive.command(&format!("bin/{name}"), contents);
    }
    archive.command("init", include_bytes!("guest/init"));
    for (name, text) in cases::scripts() {
        archive.text(&format!("bin/{name}"), text.as_bytes());
    }
    for set in Set::GUESTS {
        for case in set.cases() {
            archive.text(&format!("cases/{}/{}", set.name(), case.name), case.commands.as_bytes());
        }
    }
    // The paths that the test binaries were compiled with: they begin in the folder of the crate.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    archive.text(&root.join("Cargo.toml").to_string_lossy(), b"");
    for folder in TREE {
        let path = root.join(folder).canonicalize().map_err(|error| format!("{folder}: {error}"))?;
        archive.folder_from(&path)?;
    }
    if let Some((_, tool)) = commands.iter().find(|(name, _)| name == "pfscript") {
        archive.link(&tool.to_string_lossy(), "/bin/pfscript");
    }
    Ok(archive)
}

/// Builds the commands statically, in a target folder of their own.
fn build_static() -> Result<Vec<Built>, String> {
    let target = scratch().join("static");
    fs::create_dir_all(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--profile", "vm", "--package", "pfscript", "--bins"]);
    cargo.args(TESTS.iter().flat_map(|test| ["--test", test]));
    cargo.args(["--message-format", "json-render-diagnostics", "--target", TARGET]).arg("--target-dir").arg(&target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("RUSTFLAGS", "-C target-feature=+crt-static");
    let output = cargo.stderr(std::process::Stdio::inherit()).output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("the static build failed: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(executable).collect())
}

/// The executable that a line of Cargo's messages tells of.
fn executable(line: &str) -> Option<Built> {
    let message: Value = serde_json::from_str(line).ok()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.to_owned(), message.get("executable")?.as_str()?.into()))
}

/// An empty folder of that name.
fn fresh_folder(name: &str) -> Result<PathBuf, String> {
    let folder = scratch().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
