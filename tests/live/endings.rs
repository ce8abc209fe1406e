//! However it ends: quietly, at once, with what is due printed and nothing left in the kernel.

use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Failed;

use crate::kernel_state::{Kind, all, held_by, settle};
use crate::tracer::{Tracer, faulted, generate};

/// What a user calls instantly, with room for a busy machine.
const INSTANTLY: Duration = Duration::from_millis(500);

/// A signal runs END, prints what is due and ends with 0; the objects in the kernel go too.
pub fn by_signal(signal: i32) -> Result<(), Failed> {
    let script = "software:page-faults:1 { @n = 1; } END { printf(\"the end\\n\"); clear(@n); }";
    let tracer = Tracer::start(&["-e", script])?;
    let held = held_by(&tracer.pid().to_string());
    if !held.iter().any(|(kind, _)| *kind == Kind::Program) {
        return Err("it holds no program while it traces".into());
    }
    let finished = tracer.stop(signal)?;
    if finished.code != Some(0) || finished.stdout != "the end\n" {
        return Err(
            format!("exit {:?}, stdout {:?}, stderr {}", finished.code, finished.stdout, finished.stderr).into()
        );
    }
    if finished.took > INSTANTLY {
        return Err(format!("it took {:?} to end", finished.took).into());
    }
    settle(|| match all()?.intersection(&held).next() {
        Some(left) => Err(format!("{left:?} outlives it").into()),
        None => Ok(()),
    })
}

/// `| head -3`: a reader that has enough ends it, without a word.
pub fn closed_pipe() -> Result<(), Failed> {
    let mut head = Command::new("head").arg("-3").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let pipe = head.stdin.take().ok_or("head has no input")?;
    let tracer = Tracer::start_into(&["--log_step", "10"], pipe.into())?;
    faulted(generate(5_000, 1)?)?;
    let lines = String::from_utf8(head.wait_with_output()?.stdout)?.lines().count();
    // The second burst meets the closed pipe, if the first did not.
    faulted(generate(5_000, 1)?)?;
    let finished = tracer.wait()?;
    match (finished.code, lines) {
        (Some(0), 3) if !finished.stderr.to_lowercase().contains("error") => Ok(()),
        _ => Err(format!("exit {:?}, {lines} lines, stderr {}", finished.code, finished.stderr).into()),
    }
}

/// `timeout` sends its signal twice at once: that is one request to end, and END runs.
pub fn by_signal_twice_at_once() -> Result<(), Failed> {
    let tracer = Tracer::start(&["-e", "interval:s:100 { } END { printf(\"the end\\n\"); }"])?;
    tracer.send(libc::SIGTERM)?;
    std::thread::sleep(Duration::from_millis(2));
    let finished = tracer.stop(libc::SIGTERM)?;
    match (finished.code, &finished.stdout[..]) {
        (Some(0), "the end\n") => Ok(()),
        _ => Err(format!("exit {:?}, stdout {:?}", finished.code, finished.stdout).into()),
    }
}

/// Where nobody reads the output, the first signal waits for a second; another one does not wait.
pub fn by_second_signal() -> Result<(), Failed> {
    let (unread, pipe) = std::io::pipe()?;
    let tracer = Tracer::start_into(&["--log_step", "1"], pipe.into())?;
    faulted(generate(20_000, 1)?)?;
    std::thread::sleep(Duration::from_millis(200));
    tracer.send(libc::SIGINT)?;
    std::thread::sleep(Duration::from_millis(400));
    let finished = tracer.stop(libc::SIGINT)?;
    drop(unread);
    match finished.code {
        None if finished.took < INSTANTLY => Ok(()),
        code => Err(format!("exit {code:?} after {:?}, stderr {}", finished.took, finished.stderr).into()),
    }
}

/// `exit(N)` in a script is the exit code.
pub fn by_script() -> Result<(), Failed> {
    let finished = Tracer::start(&["-e", "interval:ms:50 { printf(\"now\\n\"); exit(7); }"])?.wait()?;
    match (finished.code, &finished.stdout[..]) {
        (Some(7), "now\n") => Ok(()),
        _ => Err(format!("exit {:?}, stdout {:?}", finished.code, finished.stdout).into()),
    }
}

/// `--duration` ends it with 0.
pub fn by_duration() -> Result<(), Failed> {
    let finished = Tracer::start(&["--duration", "200ms", "-e", "END { printf(\"the end\\n\"); }"])?.wait()?;
    match (finished.code, &finished.stdout[..]) {
        (Some(0), "the end\n") => Ok(()),
        _ => Err(format!("exit {:?}, stdout {:?}", finished.code, finished.stdout).into()),
    }
}
