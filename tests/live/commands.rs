//! `-c` and `-p`: a command and what it starts, or processes that run, are seen, and nothing else is.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::rig::multiples::check_multiples;
use crate::tracer::{Faulted, Tracer, counts_in, faulted, generate, parse_faulted, pfscript};

const GENERATOR: &str = env!("CARGO_BIN_EXE_page_fault_gen");

fn run(arguments: &[&str]) -> Result<Output, Failed> {
    Ok(pfscript().args(arguments).stdin(Stdio::null()).output()?)
}

/// What generators that ran as part of a command said, in the midst of the rows.
fn said_in(stdout: &str) -> Result<Vec<Faulted>, Failed> {
    stdout.lines().filter_map(|line| line.find("pid=").map(|at| &line[at..])).map(parse_faulted).collect()
}

/// Each fault of what a command starts is reported once, and none of anybody else.
pub fn exact() -> Result<(), Failed> {
    let stranger = generate(20_000, 1)?;
    let command = format!("sh -c '{GENERATOR} 1000 --threads 4; {GENERATOR} 500'");
    // Rows and what the generators say go to one pipe: a file for the rows keeps them apart.
    let rows = std::env::temp_dir().join(format!("pfscript-commands-{}", std::process::id()));
    let output = run(&["-o", &rows.to_string_lossy(), "pagefault", "--log_step", "1", "-c", &command])?;
    let table = std::fs::read_to_string(&rows)?;
    std::fs::remove_file(&rows)?;
    let stranger = faulted(stranger)?;
    let generators = said_in(&String::from_utf8_lossy(&output.stdout))?;
    if generators.len() != 2 || !counts_in(&table, stranger.pid).is_empty() {
        return Err(format!("{} generators ran; of a stranger were reported {:?}", generators.len(), stranger).into());
    }
    generators.iter().try_for_each(|one| Ok(check_multiples(&counts_in(&table, one.pid), 1, one.faults, 0)?))
}

/// The command's exit code is ours; so are those that a shell gives when there is none.
pub fn exit_codes() -> Result<(), Failed> {
    let cases = [
        ("true", 0),
        ("sh -c 'exit 7'", 7),
        ("sh -c 'kill -9 $$'", 137),
        ("no-such-command", 127),
        ("/etc/passwd", 126),
        ("", 2),
        ("'", 2),
    ];
    for (command, code) in cases {
        let output = run(&["-q", "-c", command])?;
        if output.status.code() != Some(code) {
            return Err(format!("`{command}` gave {:?}, not {code}", output.status).into());
        }
    }
    let output = run(&["-e", "END { printf(\"%d\", cpid); exit(3); }", "-c", "sh -c 'echo $$'"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (said, cpid) = text.trim().split_once('\n').ok_or(format!("it printed {text:?}"))?;
    if output.status.code() != Some(3) || said != cpid {
        return Err(format!("the script's code is {:?}; cpid {cpid} is not {said}", output.status).into());
    }
    Ok(())
}

/// Under sudo the command is the caller's own, in groups and environment.
pub fn as_the_caller() -> Result<(), Failed> {
    let mut command = pfscript();
    command.env("SUDO_UID", "54321").env("SUDO_GID", "54320").env("SUDO_USER", "nobody-here");
    command
        .args(["-q", "--log_step", "1000000", "-c", "sh -c 'id -u; id -g; id -G; env | grep -c ^SUDO_'"])
        .stdin(Stdio::null());
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["54321", "54320", "54320", "0", "TIME", ..] | ["54321", "54320", "54320", "0"] => Ok(()),
        _ => Err(format!("it ran as {text}").into()),
    }
}

/// When tracing ends first, so does the command.
pub fn ended_with_us() -> Result<(), Failed> {
    let begin = Instant::now();
    let output = run(&["-q", "--duration", "300ms", "-c", "sh -c 'echo $$; exec sleep 60'"])?;
    let pid = String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or_default().to_owned();
    if output.status.code() != Some(0) || begin.elapsed() > Duration::from_secs(30) {
        return Err(format!("it gave {:?}", output.status).into());
    }
    let lives = pid.is_empty() || std::fs::exists(format!("/proc/{pid}"))?;
    if lives { Err(format!("the command still runs as {pid}").into()) } else { Ok(()) }
}

/// A shell that waits for a line and then fills some memory.
fn waiting_shell() -> Result<Child, Failed> {
    let work = "read go; while [ ${#text} -lt 300000 ]; do text=$text$text.; done";
    Ok(Command::new("sh").args(["-c", work]).stdin(Stdio::piped()).spawn()?)
}

/// Some processes are traced, others are not, and tracing ends with the last of them.
pub fn processes() -> Result<(), Failed> {
    let mut shells = [waiting_shell()?, waiting_shell()?, waiting_shell()?];
    let [first, second, stranger] = [shells[0].id(), shells[1].id(), shells[2].id()];
    let script = "software:page-faults:1 { @[pid] = count(); }";
    let tracer = Tracer::start(&["-p", &first.to_string(), "-p", &format!("{second}"), "-e", script])?;
    // The stranger first, so that it has all been seen when the others have ended.
    for shell in shells.iter_mut().rev() {
        shell.stdin.take().ok_or("its input is not piped")?.write_all(b"go\n")?;
        shell.wait()?;
    }
    let finished = tracer.wait()?;
    let seen = |pid: u32| finished.stdout.contains(&format!("@[{pid}]"));
    if finished.code != Some(0) || !seen(first) || !seen(second) || seen(stranger) {
        return Err(format!("it gave {:?} and printed {}", finished.code, finished.stdout).into());
    }
    let gone = run(&["-p", "2147483647"])?;
    if gone.status.code() == Some(2) { Ok(()) } else { Err(format!("{:?} for no process", gone.status).into()) }
}

/// In a PID namespace a process has two numbers: reported is that of the initial namespace, as the
/// documents say, whatever the process itself believes.
pub fn namespace() -> Result<(), Failed> {
    let command = format!("unshare --pid --fork {GENERATOR} 700");
    let script = "software:page-faults:1 /comm == \"page_fault_gen\"/ { @[pid] = count(); }";
    let output = run(&["-e", script, "-c", &command])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let &[own] = &said_in(&text)?[..] else { return Err(format!("it printed {text}").into()) };
    let count = format!(": {}", own.faults);
    let reported =
        text.lines().find_map(|line| line.strip_prefix("@[")?.strip_suffix(count.as_str())?.strip_suffix(']'));
    match reported.map(str::parse::<u32>) {
        Some(Ok(pid)) if pid != own.pid && own.pid < 10 => Ok(()),
        _ => Err(format!("of process {} in its namespace was reported {text}", own.pid).into()),
    }
}
