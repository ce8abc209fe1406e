//! Nothing is silently lost: what was emitted is what was printed and what was reported lost, to the
//! event, however slow, stuck or gone the reader is.
//!
//! The truth is a map that the same program counts in, by the same atomic addition.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::kernel_state::value_of_map;
use crate::rig::run;
use crate::tracer::{Finished, Tracer, faulted, generate_own, own_name};

/// An event for each fault of the generator, and how many there were.
fn script() -> String {
    format!("software:page-faults:1 /comm == \"{}\"/ {{ @emitted++; emit(pid, n = @emitted); }}", own_name())
}

/// What memory may grow by while nobody reads.
const GROWTH: u64 = 8 << 20;

/// The number before `what` in a line of a total.
fn told(stderr: &str, what: &str) -> u64 {
    let number = |line: &str| line.split(what).next()?.split_whitespace().last()?.parse::<u64>().ok();
    stderr.lines().filter(|line| line.contains(what)).find_map(number).unwrap_or(0)
}

/// Whole rows of a table.
fn rows(stdout: &str) -> u64 {
    let whole = stdout.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count() as u64
}

/// Checks the account, and gives how many events were lost.
fn balance(stdout: &str, stderr: &str, emitted: u64) -> Result<u64, Failed> {
    let (printed, lost, unprinted) = (rows(stdout), told(stderr, " events lost"), told(stderr, " events not printed"));
    if emitted == 0 || printed + lost + unprinted != emitted {
        let sum = printed + lost + unprinted;
        return Err(format!(
            "{emitted} emitted, but {printed} printed + {lost} lost + {unprinted} not printed = {sum}; stderr {stderr}"
        )
        .into());
    }
    Ok(lost + unprinted)
}

/// The account of a run whose map was printed at its end.
fn settled(finished: &Finished) -> Result<u64, Failed> {
    let emitted = finished.stdout.lines().find_map(|line| line.strip_prefix("@emitted: ")?.parse().ok());
    let lost = balance(&finished.stdout, &finished.stderr, emitted.ok_or("the map was not printed")?)?;
    let begun = finished.stderr.matches("events are being lost").count();
    if begun != usize::from(lost > 0) {
        return Err(format!("{lost} events were lost, which was told {begun} times when it began").into());
    }
    Ok(lost)
}

fn some(lost: u64) -> Result<(), Failed> {
    if lost == 0 { Err("nothing was lost: the test tests nothing".into()) } else { Ok(()) }
}

/// Buffers of a page overflow, the last event of the burst among them: nothing follows it that
/// would make the kernel tell.
pub fn tiny_buffers() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--buffer-size", "4096", "-e", &script()])?;
    faulted(generate_own(200_000, 2)?)?;
    some(settled(&tracer.stop(libc::SIGINT)?)?)
}

/// Ctrl-C in the midst of a burst.
pub fn interrupted_burst() -> Result<(), Failed> {
    let tracer = Tracer::start(&["-e", &script()])?;
    let generator = generate_own(400_000, 2)?;
    thread::sleep(Duration::from_millis(200));
    let finished = tracer.stop(libc::SIGINT)?;
    faulted(generator)?;
    settled(&finished).map(drop)
}

/// Nobody reads for seconds: memory does not grow, what does not fit is counted.
pub fn blocked_pipe() -> Result<(), Failed> {
    let (mut reader, pipe) = std::io::pipe()?;
    let tracer = Tracer::start_into(&["-e", &script()], pipe.into())?;
    let before = tracer.memory()?;
    faulted(generate_own(300_000, 2)?)?;
    thread::sleep(Duration::from_secs(1));
    let grown = tracer.memory()?.saturating_sub(before);
    let reading = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    let finished = tracer.stop(libc::SIGINT)?;
    let stdout = reading.join().map_err(|_| "the reader panicked")??;
    if grown > GROWTH {
        return Err(format!("memory grew by {grown} bytes while nobody read").into());
    }
    some(settled(&Finished { stdout, ..finished })?)
}

/// Nobody ever reads: one Ctrl-C is enough, and what is not printed is counted.
pub fn one_signal() -> Result<(), Failed> {
    let (mut reader, pipe) = std::io::pipe()?;
    let tracer = Tracer::start_into(&["-e", &script()], pipe.into())?;
    faulted(generate_own(100_000, 2)?)?;
    let emitted = value_of_map(tracer.pid(), "emitted")?;
    let finished = tracer.stop(libc::SIGINT)?;
    let mut stdout = String::new();
    reader.read_to_string(&mut stdout)?;
    let lost = balance(&stdout, &finished.stderr, emitted)?;
    match finished.code {
        Some(3) if finished.took < Duration::from_secs(3) => some(lost),
        code => Err(format!("exit {code:?} after {:?}, stderr {}", finished.took, finished.stderr).into()),
    }
}

/// A slow but living reader gets everything, Ctrl-C or not.
pub fn slow_reader() -> Result<(), Failed> {
    let (mut reader, pipe) = std::io::pipe()?;
    let tracer = Tracer::start_into(&["--buffer-size", "16M", "-e", &script()], pipe.into())?;
    faulted(generate_own(20_000, 1)?)?;
    let reading = thread::spawn(move || {
        let (mut text, mut some) = (Vec::new(), [0; 16384]);
        loop {
            thread::sleep(Duration::from_millis(100));
            match reader.read(&mut some) {
                Ok(0) | Err(_) => return text,
                Ok(read) => text.extend_from_slice(&some[..read]),
            }
        }
    });
    let finished = tracer.stop(libc::SIGINT)?;
    let stdout = String::from_utf8(reading.join().map_err(|_| "the reader panicked")?)?;
    match (finished.code, settled(&Finished { stdout, ..finished })?) {
        (Some(0), 0) => Ok(()),
        (code, lost) => Err(format!("exit {code:?}, {lost} events lost on a reader that was only slow").into()),
    }
}

/// A terminal: its master and the side that programs write to.
fn terminal() -> Result<(fs::File, OwnedFd), Failed> {
    let (mut master, mut slave) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: there is room for both descriptors, which are new; all else is left as it is.
    unsafe {
        use std::os::fd::FromRawFd;
        if libc::openpty(&raw mut master, &raw mut slave, null, null.cast(), null.cast()) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        // Else the programs that are started would keep the master open.
        libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC);
        Ok((fs::File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)))
    }
}

/// Ctrl-S stops a terminal for two seconds, Ctrl-Q lets it go on; it is resized meanwhile.
pub fn stopped_terminal() -> Result<(), Failed> {
    let (mut master, slave) = terminal()?;
    let tracer = Tracer::start_into(&["-e", &script()], slave.into())?;
    let before = tracer.memory()?;
    master.write_all(b"\x13")?;
    faulted(generate_own(200_000, 2)?)?;
    tracer.send(libc::SIGWINCH)?;
    thread::sleep(Duration::from_secs(1));
    let grown = tracer.memory()?.saturating_sub(before);
    master.write_all(b"\x11")?;
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        // The terminal is gone with an error when its last user is.
        let _ = master.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    });
    let finished = tracer.stop(libc::SIGINT)?;
    let stdout = reading.join().map_err(|_| "the reader panicked")?;
    // The terminal shows what was typed.
    let stdout = stdout.replace("^S", "").replace("^Q", "");
    if grown > GROWTH {
        return Err(format!("memory grew by {grown} bytes while the terminal was stopped").into());
    }
    some(settled(&Finished { stdout, ..finished })?)
}

/// The terminal is gone: said where it can be seen.
pub fn gone_terminal() -> Result<(), Failed> {
    let (master, slave) = terminal()?;
    let tracer = Tracer::start_into(&["-e", &script()], slave.into())?;
    drop(master);
    faulted(generate_own(1000, 1)?)?;
    let finished = tracer.wait()?;
    match finished.code {
        Some(3) if finished.stderr.contains("cannot write to standard output") => Ok(()),
        code => Err(format!("exit {code:?}, stderr {}", finished.stderr).into()),
    }
}

/// SIGHUP ends in order, and says by the exit code that the user is gone.
pub fn hung_up() -> Result<(), Failed> {
    let finished = Tracer::start(&["-e", "interval:s:100 { } END { printf(\"the end\\n\"); }"])?.stop(libc::SIGHUP)?;
    match (finished.code, &finished.stdout[..]) {
        (Some(129), "the end\n") => Ok(()),
        _ => Err(format!("exit {:?}, stdout {:?}", finished.code, finished.stdout).into()),
    }
}

/// A disk that is full, at once or after a while: a message, an exit code, and the account of what
/// is not in the file.
pub fn full_device() -> Result<(), Failed> {
    full(PathBuf::from("/dev/full")).map(drop)
}

/// The same on a disk with a little room.
pub fn full_disk() -> Result<(), Failed> {
    let folder = std::env::temp_dir().join(format!("pfscript-small-disk-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let place = folder.to_string_lossy().into_owned();
    run("mount", &["-t", "tmpfs", "-o", "size=64k", "none", &place])?;
    let result = full(folder.join("out"));
    run("umount", &[&place])?;
    fs::remove_dir(&folder)?;
    result
}

fn full(file: PathBuf) -> Result<(), Failed> {
    let name = file.to_string_lossy().into_owned();
    // The truth is written elsewhere, for the map cannot be read once it has ended.
    let tracer = Tracer::start(&["-o", &name, "-e", &script()])?;
    let generator = generate_own(20_000, 1)?;
    let finished = tracer.wait()?;
    faulted(generator)?;
    let text = if name == "/dev/full" { String::new() } else { fs::read_to_string(&file)? };
    let unprinted = told(&finished.stderr, " events not printed");
    // Counts are given in the kernel's order: the highest row that is there says how many came first.
    let last = text.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).max().unwrap_or(0);
    match finished.code {
        Some(3) if finished.stderr.contains("No space left") && unprinted > 0 && rows(&text) <= last => Ok(()),
        code => Err(format!("exit {code:?}, {} rows, stderr {}", rows(&text), finished.stderr).into()),
    }
}

/// `kill -9`: the kernel frees all that it held, which `leaves_nothing` looks for.
pub fn killed() -> Result<(), Failed> {
    let tracer = Tracer::start(&[])?;
    if tracer.stop(libc::SIGKILL)?.code.is_some() {
        return Err("it ended before it was killed".into());
    }
    Ok(())
}

/// Signals that are none of its business, and being stopped again and again, do no harm.
pub fn signal_storm() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--buffer-size", "16M", "-e", &script()])?;
    let generator = generate_own(50_000, 2)?;
    for _ in 0..100 {
        for signal in [libc::SIGWINCH, libc::SIGSTOP, libc::SIGCONT, libc::SIGWINCH] {
            tracer.send(signal)?;
            thread::sleep(Duration::from_millis(1));
        }
    }
    faulted(generator)?;
    match settled(&tracer.stop(libc::SIGINT)?)? {
        0 => Ok(()),
        lost => Err(format!("{lost} events lost").into()),
    }
}

/// More keys than a map has room for: told once when it begins and in the total; what has a place
/// is counted exactly.
pub fn full_map() -> Result<(), Failed> {
    let script = format!(
        "let @faults = hash(16); software:page-faults:1 /comm == \"{}\"/ {{ @total++; @faults[pid]++; }}",
        own_name()
    );
    let tracer = Tracer::start(&["-e", &script])?;
    let generators: Vec<_> = (0..40).map(|_| generate_own(500, 1)).collect::<Result<_, _>>()?;
    let processes: Vec<_> = generators.into_iter().map(faulted).collect::<Result<_, _>>()?;
    let finished = tracer.stop(libc::SIGINT)?;
    let value = |line: &str| line.rsplit_once(": ").and_then(|(_, value)| value.parse::<u64>().ok());
    let counts: Vec<_> =
        finished.stdout.lines().filter(|line| line.starts_with("@faults[")).filter_map(value).collect();
    let total = finished.stdout.lines().find(|line| line.starts_with("@total: ")).and_then(value).unwrap_or(0);
    let dropped = told(&finished.stderr, " updates dropped");
    for process in processes {
        let line = finished.stdout.lines().find(|line| line.starts_with(&format!("@faults[{}]:", process.pid)));
        if let Some(count) = line.and_then(value)
            && count != process.faults
        {
            return Err(format!("{count} faults of a process that made {}", process.faults).into());
        }
    }
    let begun = finished.stderr.matches("takes no new key:").count();
    match (counts.len(), begun, dropped > 0 && counts.iter().sum::<u64>() + dropped == total) {
        (16, 1, true) => Ok(()),
        _ => {
            Err(format!("{counts:?} and {dropped} dropped of {total}, told {begun} times: {}", finished.stderr).into())
        }
    }
}
