//! `page_fault_gen N`: makes about N page faults and says exactly how many there were.
//!
//! The work is done by a forked child that never calls exec, because only then does the kernel's
//! `page-faults` event count exactly what getrusage does: when a process calls exec, one fault
//! (the kernel writes the arguments to the new stack) is entered in the rusage of the process that
//! is becoming a new program, but not as an event of it.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::thread;

const HELP: &str = "\
Make page faults, and say exactly how many

Usage: page_fault_gen [OPTIONS] N

A forked child writes to N fresh pages, one fault each. Starting up makes some more faults; what is
printed is the child's exact total as getrusage gives it (minflt + majflt):

  pid=4711 parent=4710 threads=1 faults=1123 minflt=1123 majflt=0

pid is the child that was measured: the kernel's software event page-faults counts the same number
for it, if it was being traced before page_fault_gen started. parent is the process that was
started; its own few faults are not in the line.

Options:
  --threads T   Split the work over T threads [default: 1]
  --processes P Do it in P children, one after the other, each with a line [default: 1]
  --by HOW      What makes the pages fault [default: touch]
                populate: the kernel touches them for the process, by madvise(MADV_POPULATE_WRITE)
                fail: each is touched where that is forbidden (SIGSEGV), then allowed, then touched again
  --life LIFE   What becomes of the child before the work [default: plain]
                leave: its first thread ends, the others go on
                exec: a thread that is not its first executes this program anew
  --hold        Print the line while the child is still there, and keep it until stdin ends
  -h, --help    Show this help
";

/// Pages that are touched before they are given back, so that memory stays bounded.
const CHUNK: u64 = 1024;

/// What was asked for.
struct Order {
    faults: u64,
    threads: u64,
    processes: u64,
    hold: bool,
    life: Life,
    by: By,
}

/// What makes pages fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The process writes to them.
    Touch,
    /// The kernel does, for the process.
    Populate,
    /// The process writes to them where it must not, and again when it may.
    Fail,
}

impl By {
    fn named(name: Option<&str>) -> Result<Self, String> {
        match name {
            Some("touch") => Ok(Self::Touch),
            Some("populate") => Ok(Self::Populate),
            Some("fail") => Ok(Self::Fail),
            _ => Err("--by is one of touch, populate, fail".to_owned()),
        }
    }
}

/// What becomes of the child before it does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Nothing.
    Plain,
    /// Its first thread ends.
    Leave,
    /// Another thread executes this program anew, which does the work.
    Exec,
    /// It is that program, and has no parent to report to.
    Executed,
}

impl Life {
    fn named(name: Option<&str>) -> Result<Self, String> {
        match name {
            Some("plain") => Ok(Self::Plain),
            Some("leave") => Ok(Self::Leave),
            Some("exec") => Ok(Self::Exec),
            Some("executed") => Ok(Self::Executed),
            _ => Err("--life is one of plain, leave, exec".to_owned()),
        }
    }
}

/// What the kernel counted.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Faults {
    minor: u64,
    major: u64,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(None) => finish(print_help()),
        Ok(Some(order)) if order.life == Life::Executed => finish(work(&order)),
        Ok(Some(order)) => finish((0..order.processes).try_for_each(|_| run(&order))),
        Err(message) => {
            eprintln!("error: {message}\n\nFor more information, try '--help'.");
            ExitCode::from(2)
        }
    }
}

fn print_help() -> io::Result<()> {
    io::stdout().write_all(HELP.as_bytes())
}

fn finish(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The command line; nothing when help is asked for.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Order>, String> {
    let mut order = Order { faults: 0, threads: 1, processes: 1, hold: false, life: Life::Plain, by: By::Touch };
    let mut faults = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "-h" | "--help" => return Ok(None),
            "--hold" => order.hold = true,
            "--threads" => order.threads = number("--threads", words.next().as_deref(), 1, 1024)?,
            "--processes" => order.processes = number("--processes", words.next().as_deref(), 1, 1_000_000)?,
            "--by" => order.by = By::named(words.next().as_deref())?,
            "--life" => order.life = Life::named(words.next().as_deref())?,
            _ if word.starts_with("--threads=") => order.threads = number("--threads", word.get(10..), 1, 1024)?,
            _ if faults.is_some() || word.starts_with("--") => return Err(format!("unexpected argument '{word}'")),
            _ => faults = Some(number("N", Some(&word), 0, 1_000_000_000_000)?),
        }
    }
    order.faults = faults.ok_or("N, the number of page faults, is missing")?;
    Ok(Some(order))
}

fn number(name: &str, text: Option<&str>, low: u64, high: u64) -> Result<u64, String> {
    let text = text.ok_or_else(|| format!("{name} needs a value"))?;
    let value = text.parse().ok().filter(|value| (low..=high).contains(value));
    value.ok_or_else(|| format!("invalid value '{text}' for {name}: it must be a number from {low} to {high}"))
}

/// One child, and the line about it.
fn run(order: &Order) -> io::Result<()> {
    // The child reports through the first pipe and is held by the second.
    let (mut report, reporter) = io::pipe()?;
    let (holder, hold) = io::pipe()?;
    // SAFETY: this process has one thread, so the child may do whatever a process may do.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop((report, hold));
            child(order, &reporter, &holder)
        }
        pid => {
            drop((reporter, holder));
            let measured = if order.hold { read_faults(&mut report)? } else { wait(pid)? };
            print(order, pid, measured)?;
            if order.hold { release(hold, pid, measured) } else { Ok(()) }
        }
    }
}

/// Keeps the child until stdin ends; its total must not have changed since it was printed.
fn release(hold: io::PipeWriter, pid: libc::pid_t, printed: Faults) -> io::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    drop(hold);
    match wait(pid)? {
        now if now == printed => Ok(()),
        now => {
            Err(io::Error::other(format!("{} faults came after the line was printed", now.total() - printed.total())))
        }
    }
}

impl Faults {
    fn of(usage: &libc::rusage) -> Self {
        Self { minor: usage.ru_minflt as u64, major: usage.ru_majflt as u64 }
    }

    fn total(self) -> u64 {
        self.minor + self.major
    }
}

fn print(order: &Order, pid: libc::pid_t, faults: Faults) -> io::Result<()> {
    let (parent, threads, total) = (std::process::id(), order.threads, faults.total());
    let Faults { minor, major } = faults;
    let line = format!("pid={pid} parent={parent} threads={threads} faults={total} minflt={minor} majflt={major}\n");
    io::stdout().write_all(line.as_bytes())?;
    io::stdout().flush()
}

fn read_faults(report: &mut io::PipeReader) -> io::Result<Faults> {
    let mut words = [[0; 8]; 2];
    report.read_exact(words.as_flattened_mut())?;
    let [minor, major] = words.map(u64::from_ne_bytes);
    Ok(Faults { minor, major })
}

/// Waits for the child; gives what the kernel counted for it in its whole life.
fn wait(pid: libc::pid_t) -> io::Result<Faults> {
    let (mut status, mut usage) = (0, no_usage());
    // SAFETY: both places are valid for the results.
    while unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    if status == 0 {
        Ok(Faults::of(&usage))
    } else {
        Err(io::Error::other("the child failed: not enough memory or threads"))
    }
}

fn no_usage() -> libc::rusage {
    // SAFETY: `rusage` is plain numbers.
    unsafe { std::mem::zeroed() }
}

/// The life of the child.
fn child(order: &Order, reporter: &io::PipeWriter, holder: &io::PipeReader) -> ! {
    // SAFETY: no memory is involved. The child must not outlive a parent that is killed.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let worked = live(order);
    if order.hold && worked.is_ok() {
        report_and_stay(reporter, holder);
    }
    // SAFETY: leaves at once, without the parent's exit handlers.
    unsafe { libc::_exit(i32::from(worked.is_err())) }
}

/// Does the work in the way that was asked for.
fn live(order: &Order) -> io::Result<()> {
    match order.life {
        Life::Plain | Life::Executed => work(order),
        Life::Leave => {
            let order = Order { ..*order };
            thread::Builder::new().spawn(move || leave_as_last(&order))?;
            // SAFETY: ends this thread alone; nothing on its stack is borrowed by another.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
            unreachable!("a thread that has ended goes on")
        }
        Life::Exec => {
            let (faults, threads) = (order.faults.to_string(), order.threads.to_string());
            let run = move || {
                let mut command = Command::new("/proc/self/exe");
                command.arg0("page_fault_gen").args(["--life", "executed", "--threads", &threads, &faults]).exec()
            };
            Err(thread::spawn(run).join().unwrap_or_else(|_| io::Error::other("a thread panicked")))
        }
    }
}

/// The rest of a process whose first thread has ended.
fn leave_as_last(order: &Order) -> ! {
    let worked = work(order);
    // SAFETY: as at the end of `child`.
    unsafe { libc::_exit(i32::from(worked.is_err())) }
}

/// Splits the work over the threads.
fn work(order: &Order) -> io::Result<()> {
    let share = |index| order.faults / order.threads + u64::from(index < order.faults % order.threads);
    if order.threads == 1 {
        return touch(order.faults, order.by);
    }
    thread::scope(|scope| {
        let start = |index| thread::Builder::new().spawn_scoped(scope, move || touch(share(index), order.by));
        let started: Vec<_> = (0..order.threads).map(start).collect::<io::Result<_>>()?;
        started
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
    })
}

/// Makes `faults` page faults: one for each fresh page, the same memory again and again.
fn touch(faults: u64, by: By) -> io::Result<()> {
    let page = page_size();
    let size = page * CHUNK.min(faults.max(1)) as usize;
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, at a place that the kernel chooses.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), size, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the whole of the mapping just made; a kernel without huge pages refuses, rightly.
    unsafe { libc::madvise(memory, size, libc::MADV_NOHUGEPAGE) };
    if by == By::Fail {
        allow_at_second_try()?;
    }
    for fault in 0..faults {
        let at = (fault % CHUNK) as usize * page;
        // SAFETY: `at` is within the mapping, which no one else knows.
        let place = unsafe { memory.byte_add(at) };
        if at == 0 {
            // SAFETY: as above; nothing refers to what is given back.
            unsafe { libc::madvise(memory, size, libc::MADV_DONTNEED) };
        }
        match by {
            By::Touch => {}
            // SAFETY: a page of the mapping.
            By::Populate => match unsafe { libc::madvise(place, page, libc::MADV_POPULATE_WRITE) } {
                0 => continue,
                _ => return Err(io::Error::last_os_error()),
            },
            // SAFETY: a page of the mapping.
            By::Fail => match unsafe { libc::mprotect(place, page, libc::PROT_NONE) } {
                0 => {}
                _ => return Err(io::Error::last_os_error()),
            },
        }
        // SAFETY: within the mapping; where writing is forbidden, the handler allows it.
        unsafe { place.cast::<u8>().write_volatile(1) };
    }
    Ok(())
}

fn page_size() -> usize {
    // SAFETY: asks for no memory.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// From now on, writing to a forbidden page makes it allowed, and is done again.
fn allow_at_second_try() -> io::Result<()> {
    extern "C" fn allow(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        let page = page_size();
        // SAFETY: the kernel gives a valid siginfo, whose address is of the page that was written to.
        unsafe {
            let place = (*info).si_addr().map_addr(|address| address & !(page - 1));
            if libc::mprotect(place, page, libc::PROT_READ | libc::PROT_WRITE) != 0 {
                libc::_exit(1);
            }
        }
    }
    // SAFETY: plain numbers, filled in as the handler's signature wants it.
    let set = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = allow as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut())
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Tells the parent this process's total and stays until the parent lets go, then leaves. There is
/// no fault from the measuring on: a first round without effect has run the same code, written the
/// same memory, and let the kernel write what it writes when a process comes back from a sleep.
fn report_and_stay(reporter: &io::PipeWriter, holder: &io::PipeReader) -> ! {
    let (out, held) = (reporter.as_raw_fd(), holder.as_raw_fd());
    let mut usage = no_usage();
    let nap = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let mut round = 0;
    loop {
        // SAFETY: all places are valid for what is read and written. In the first round nothing is;
        // in the second the last read waits until the parent closes its end.
        unsafe {
            libc::syscall(libc::SYS_nanosleep, &raw const nap, 0);
            libc::syscall(libc::SYS_getrusage, libc::RUSAGE_SELF, &raw mut usage);
            let mut words = [usage.ru_minflt as u64, usage.ru_majflt as u64];
            libc::syscall(libc::SYS_write, out, words.as_ptr(), round * size_of_val(&words));
            libc::syscall(libc::SYS_read, held, words.as_mut_ptr(), round);
            libc::syscall([libc::SYS_getpid, libc::SYS_exit_group][round], 0);
        }
        round = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Order>, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_command_line_is_understood() {
        let order = parsed("--threads 4 1000 --hold --processes 3").expect("good").expect("an order");
        assert_eq!((order.faults, order.threads, order.processes, order.hold), (1000, 4, 3, true));
        assert_eq!(parsed("7 --threads=2").expect("good").expect("an order").threads, 2);
        assert!(parsed("7 --help").expect("good").is_none());
        for bad in [
            "",
            "x",
            "-5",
            "1 2",
            "5 --threads",
            "5 --threads 0",
            "5 --threads=",
            "5 --processes 0",
            "5 --what",
            "9999999999999999999999",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn touching_makes_a_fault_a_page() {
        let faults = || {
            let mut usage = no_usage();
            // SAFETY: the place is valid for the result.
            unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
            Faults::of(&usage).total()
        };
        touch(1, By::Touch).expect("memory");
        let before = faults();
        touch(3000, By::Touch).expect("memory");
        let made = faults() - before;
        assert!((3000..3010).contains(&made), "{made}");
    }
}
