//! Every script that users are given, at work on this kernel, by its name as a built-in.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::rig::toolbox::{TOOLBOX, Tool};
use crate::tracer::{Tracer, pfscript};

/// It says what is true of the work, or that this kernel lacks what it cannot do without.
pub fn works(tool: &Tool) -> Result<(), Failed> {
    if tool.needs_function_probes && !Path::new("/sys/bus/event_source/devices/kprobe").exists() {
        return refuses(tool);
    }
    let mut arguments = vec![tool.name];
    arguments.extend(tool.arguments.split_whitespace());
    let tracer = Tracer::start(&arguments)?;
    work(tool)?;
    let finished = tracer.stop(libc::SIGINT)?;
    let checked = tool.check(&finished.stdout);
    checked.map_err(|why| format!("{why}:\n{}\n{}", finished.stdout, finished.stderr).into())
}

fn work(tool: &Tool) -> Result<(), Failed> {
    let programs = Path::new(env!("CARGO_BIN_EXE_page_fault_gen")).parent().expect("a program is in a folder");
    let path = env::join_paths(
        [programs.into()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )?;
    let mut shell = Command::new("sh");
    shell.args(["-c", tool.work]).env("PATH", path).env("SCRATCH", env!("CARGO_TARGET_TMPDIR"));
    // Whether its last command succeeds is a part of the work: see what the script says of it.
    shell.stdin(Stdio::null()).status()?;
    Ok(())
}

/// Without function probes it names each that it would have taken, and why not.
fn refuses(tool: &Tool) -> Result<(), Failed> {
    let output = pfscript().arg(tool.name).args(tool.arguments.split_whitespace()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) && said.contains("kprobe:handle_mm_fault: this kernel has no kprobes") {
        return Ok(());
    }
    Err(format!("exit {:?}: {said}", output.status.code()).into())
}

/// There is no script that is not tried.
pub fn is_complete() -> Result<(), Failed> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    for script in fs::read_dir(scripts)? {
        let script = script?.path();
        let name = script.file_stem().unwrap_or_default();
        if !TOOLBOX.iter().any(|tool| name == tool.name) {
            return Err(format!("{} has no row in tests/rig/toolbox.rs", script.display()).into());
        }
    }
    Ok(())
}
