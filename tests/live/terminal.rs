//! On a terminal: the line that says that tracing is under way, and the live view.

use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;
use pty_process::blocking::Command;

use crate::console::{Console, Ended};
use crate::picture::svg;
use crate::tracer::{Faulted, Held, faulted, generate, pfscript};

/// Faults of the generator only.
const OWN_FAULTS: &str = r#"software:page-faults:1 /comm == "page_fault_gen"/ { @faults[pid]++; }
    tracepoint:sched:sched_process_free { retire(@faults[args.pid], args.comm); }
    END { summary(@faults); clear(@faults); }"#;
/// What the status line begins with.
const STATUS: &str = "tracing for ";
/// Lines and columns.
const SIZE: (u16, u16) = (16, 80);

/// It is there at once, counts the seconds, and leaves nothing behind.
pub fn status_line() -> Result<(), Failed> {
    let console = Console::start(&["--log_step", "999999999", "--duration", "1500ms"], SIZE)?;
    console
        .wait_for("the status line", |text| text.starts_with("tracing for 0 s, nothing to report yet; Ctrl-C ends"))?;
    console.wait_for("the next second", |text| text.starts_with("tracing for 1 s"))?;
    let ended = console.end()?;
    let is_gone = !ended.text.contains(STATUS) && ended.text.contains(" faults of ");
    if is_gone && ended.code == Some(0) { Ok(()) } else { Err(format!("left on the screen:\n{}", ended.text).into()) }
}

/// The first line takes its place.
pub fn status_line_goes() -> Result<(), Failed> {
    let script = "interval:ms:400 { printf(\"here\\n\"); }";
    let console = Console::start(&["-e", script], SIZE)?;
    console.wait_for("the status line", |text| text.starts_with(STATUS))?;
    console.wait_for("the first line", |text| text.starts_with("here\n"))?;
    console.press("\x03")?;
    let ended = console.end()?;
    if ended.text.contains(STATUS) { Err(format!("left on the screen:\n{}", ended.text).into()) } else { Ok(()) }
}

/// There is none with `-q`, and none where there is no terminal.
pub fn no_status_line() -> Result<(), Failed> {
    let ended = Console::start(&["-q", "--log_step", "999999999", "--duration", "300ms"], SIZE)?.end()?;
    let piped = pfscript().args(["--log_step", "999999999", "--duration", "300ms"]).output()?;
    let said = ended.text + &String::from_utf8_lossy(&piped.stdout) + &String::from_utf8_lossy(&piped.stderr);
    if said.contains(STATUS) { Err(said.into()) } else { Ok(()) }
}

fn row(process: Faulted, text: &str) -> Option<Vec<String>> {
    let rows = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    rows.into_iter().find(|row| row.first().is_some_and(|pid| *pid == process.pid.to_string()))
}

/// Its name and total are those of the process.
fn is_shown(process: Faulted, text: &str) -> bool {
    let expected = ["page_fault_gen".to_owned(), process.faults.to_string()];
    row(process, text).is_some_and(|row| row.len() >= 4 && [&row[1], &row[3]] == expected.each_ref())
}

fn is_above(one: Faulted, other: Faulted, text: &str) -> bool {
    let line = |process: Faulted| text.lines().position(|line| line.starts_with(&process.pid.to_string()));
    line(one).zip(line(other)).is_some_and(|(one, other)| one < other)
}

/// Shows exact totals, sorts, filters, pauses, and ends with the summary on the screen of before.
pub fn top() -> Result<(), Failed> {
    let console = Console::start(&["--top", "-e", OWN_FAULTS], SIZE)?;
    console.wait_for("the list", |text| text.contains("RATE/s"))?;
    let (mut first, mut second) = (Held::generate(3_000)?, Held::generate(5_000)?);
    let (less, more) = (first.faulted()?, second.faulted()?);
    console.wait_for("both processes", |text| is_shown(less, text) && is_shown(more, text))?;
    // RATE/s is the order at first; one to the right is the total, two to the right the PID.
    console.press("\x1b[C")?;
    console.wait_for("the order by total", |text| text.contains("FAULTS▾") && is_above(more, less, text))?;
    console.press("r")?;
    console.wait_for("the reverse order", |text| text.contains("FAULTS▴") && is_above(less, more, text))?;

    console.press(&format!("/{}", less.pid))?;
    console.wait_for("one of them", |text| is_shown(less, text) && row(more, text).is_none())?;
    console.press("\x1b")?;
    console.wait_for("both again", |text| is_shown(less, text) && is_shown(more, text))?;

    console.press("p")?;
    let paused = console.wait_for("that it pauses", |text| text.contains("paused"))?;
    let third = faulted(generate(1_000, 1)?)?;
    thread::sleep(Duration::from_millis(1500));
    if console.text() != paused {
        return Err(format!("it goes on:\n{}", console.text()).into());
    }
    console.press("p")?;
    console.wait_for("that a process has ended", |text| text.contains(" ended") && row(third, text).is_none())?;

    console.resize(24, 60)?;
    console.wait_for("the last line of a larger screen", |text| text.lines().count() == 24)?;
    console.press("q")?;
    let ended = console.end()?;
    first.end()?;
    second.end()?;
    let summary = ended.text.lines().find(|line| line.contains(" faults of ")).map(str::to_owned);
    if !ended.is_restored || ended.code != Some(0) || summary.is_none() || ended.text.contains("RATE/s") {
        return Err(format!("exit {:?}, restored: {}\n{}", ended.code, ended.is_restored, ended.text).into());
    }
    Ok(())
}

/// The map that is named is shown, and Tab leads to the next; a map of other keys and values too.
pub fn top_of_several_maps() -> Result<(), Failed> {
    let script = r#"interval:ms:10 { @ticks[cpu] = count(); @sizes["one", 2] = hist(3); @last[1] = "text"; @all++; }"#;
    let console = Console::start(&["--top=@sizes", "-e", script], SIZE)?;
    console.wait_for("the sizes", |text| {
        text.contains("SIZES") && text.contains("one  ") && text.contains(" 2  ") && text.contains("█")
    })?;
    console.press("\t")?;
    console.wait_for("the ticks", |text| text.contains("CPU") && text.contains("TICKS") && !text.contains("one"))?;
    console.press("\t")?;
    console.wait_for("the sizes again", |text| text.contains("SIZES"))?;
    console.press("\x03")?;
    is_restored(&console.end()?, Some(0))
}

/// A command that is traced does not disturb the screen, and its end is that of the view.
pub fn top_of_command() -> Result<(), Failed> {
    let command = "sh -c 'echo noise; echo noise >&2; sleep 2; exit 5'";
    let console = Console::start(&["--top", "-c", command], SIZE)?;
    console.wait_for("the second look", |text| text.contains("for 1 s"))?;
    let text = console.text();
    let ended = console.end()?;
    if (text + &ended.text).contains("noise") {
        return Err(format!("the screen is disturbed:\n{}", ended.text).into());
    }
    is_restored(&ended, Some(5))
}

/// What the script has to say does not disturb the screen, and is said behind it.
pub fn top_holds_remarks() -> Result<(), Failed> {
    let script = r#"interval:ms:100 { @n[1]++; warnf("hm %d", 7); }"#;
    let console = Console::start(&["--top", "-e", script], SIZE)?;
    console.wait_for("the second look", |text| text.contains("for 1 s"))?;
    if console.text().contains("hm 7") {
        return Err(format!("the screen is disturbed:\n{}", console.text()).into());
    }
    console.press("q")?;
    let ended = console.end()?;
    if !ended.text.contains("WARNING: hm 7") {
        return Err(format!("it is not said:\n{}", ended.text).into());
    }
    is_restored(&ended, Some(0))
}

fn is_restored(ended: &Ended, code: Option<i32>) -> Result<(), Failed> {
    if ended.is_restored && ended.code == code {
        return Ok(());
    }
    Err(format!("exit {:?}, restored: {}\n{}", ended.code, ended.is_restored, ended.text).into())
}

/// Whatever ends it, the terminal is as before.
pub fn top_restores(arguments: &[&str], signal: Option<i32>, code: Option<i32>) -> Result<(), Failed> {
    let script = ["--top", "-e", "software:page-faults:1 { @faults[pid]++; } END { clear(@faults); }"];
    let console = Console::start(if arguments.is_empty() { &script } else { arguments }, SIZE)?;
    console.wait_for("the list", |text| text.contains("RATE/s"))?;
    if !console.look(vt100::Screen::alternate_screen) {
        return Err("it draws on the screen of before".into());
    }
    if let Some(signal) = signal {
        console.send(signal);
    }
    is_restored(&console.end()?, code)
}

/// An error is said on the screen of before.
pub fn error_restores() -> Result<(), Failed> {
    let script = "interval:s:1 { emit(a = 1); } software:page-faults:1 { @faults[pid]++; } END { clear(@faults); }";
    let console = Console::start(&["--top", "-o", "/dev/full", "-e", script], SIZE)?;
    console.wait_for("the list", |text| text.contains("RATE/s"))?;
    let ended = console.end()?;
    if !ended.text.contains("cannot write to /dev/full") {
        return Err(format!("it cannot be read:\n{}", ended.text).into());
    }
    is_restored(&ended, Some(3))
}

/// The word by which this very program is told to panic on a terminal.
pub const PANIC: &str = "panic-on-a-terminal";

/// What is run then.
pub fn panic_on_a_terminal() -> ! {
    let _screen = pfscript::sys::terminal::Screen::enter().expect("it is a terminal");
    panic!("as it should");
}

/// A panic gives the terminal back before it says anything.
pub fn panic_restores() -> Result<(), Failed> {
    let ended =
        Console::run(Command::new(std::env::current_exe()?).arg(PANIC).env_remove("RUST_BACKTRACE"), SIZE)?.end()?;
    if !ended.text.contains("as it should") {
        return Err(format!("it cannot be read:\n{}", ended.text).into());
    }
    is_restored(&ended, Some(101))
}

/// Whether anything on the screen has a colour.
fn is_colored(screen: &vt100::Screen) -> bool {
    let cells = (0..SIZE.0).flat_map(|line| (0..SIZE.1).filter_map(move |column| screen.cell(line, column)));
    cells.into_iter().any(|cell| (cell.fgcolor(), cell.bgcolor()) != (vt100::Color::Default, vt100::Color::Default))
}

/// Colours are on a terminal only, and not there either when the user has declined them.
pub fn colors() -> Result<(), Failed> {
    let live = "BEGIN { @live[1] = 1; } interval:s:1 { @live[1]++; }";
    for (arguments, last) in [
        (&["--check", "-e", "BEGIN { @a = pidd; }"][..], "1 error in -e"),
        (&["--nonsense"], "For more information"),
        (&["--top", "-e", live], "RATE/s"),
    ] {
        for declined in [false, true] {
            let command = Command::new(env!("CARGO_BIN_EXE_pfscript")).args(arguments).env_remove("NO_COLOR");
            let command = if declined { command.env("NO_COLOR", "1") } else { command };
            let console = Console::run(command, SIZE)?;
            console.wait_for(last, |text| text.contains(last))?;
            if console.look(is_colored) == declined {
                return Err(format!("{arguments:?}, colours declined: {declined}\n{}", console.text()).into());
            }
            console.send(libc::SIGTERM);
            console.end()?;
        }
        let piped = std::process::Command::new(env!("CARGO_BIN_EXE_pfscript"))
            .args(arguments)
            .env_remove("NO_COLOR")
            .output()?;
        if [piped.stdout, piped.stderr].concat().contains(&0x1b) {
            return Err(format!("{arguments:?}: colours where there is no terminal").into());
        }
    }
    Ok(())
}

/// The picture of the live view in README.md, and how long it is looked at before it is taken.
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/top.svg");
const EXPOSURE: Duration = Duration::from_secs(20);

/// The picture shows what the live view looks like; `PFSCRIPT_PICTURE=1` takes it anew, of what the
/// machine is doing then.
pub fn picture() -> Result<(), Failed> {
    let is_taken = std::env::var_os("PFSCRIPT_PICTURE").is_some_and(|value| value == "1");
    let console =
        Console::run(Command::new(env!("CARGO_BIN_EXE_pfscript")).arg("--top").env_remove("NO_COLOR"), (18, 92))?;
    console.wait_for("the list", |text| text.contains("RATE/s"))?;
    if is_taken {
        thread::sleep(EXPOSURE);
    }
    let (drawn, text) = console.look(|screen| (svg(screen), screen.contents()));
    console.press("q")?;
    console.end()?;
    if is_taken {
        std::fs::write(PICTURE, &drawn)?;
    }
    let shown = std::fs::read_to_string(PICTURE)?;
    let mut missing = [text.lines().nth(2), text.lines().last()].into_iter().flatten().flat_map(str::split_whitespace);
    match missing.find(|word| !drawn.contains(word) || !shown.contains(word)) {
        Some(word) => Err(format!("docs/top.svg lacks {word}: PFSCRIPT_PICTURE=1 takes it anew").into()),
        None => Ok(()),
    }
}
