//! Completion in real shells, on a terminal of the tests' own: what Tab makes of a line.

use libtest_mimic::Failed;
use pty_process::blocking::Command;

use crate::console::Console;

/// What is typed, and what the line is after Tab.
const LINES: &[(&str, &str)] = &[
    ("pfscript --dura", "pfscript --duration "),
    ("pfscript -f js", "pfscript -f json "),
    ("pfscript faults-per", "pfscript faults-per-second "),
    ("pfscript --log", "pfscript --log_step "),
    ("pfscript -q minor-major --major", "pfscript -q minor-major --major_step "),
    ("pfscript own.pf --of", "pfscript own.pf --of_its_own "),
    ("pfscript ow", "pfscript own.pf "),
    ("pfscript -e 'param its_own = 1; BEGIN {}' --its", "pfscript -e 'param its_own = 1; BEGIN {}' --its_own "),
];

/// How a shell is started without the user's settings, and takes the snippet.
struct Shell {
    name: &'static str,
    arguments: &'static [&'static str],
    setup: &'static str,
}

const SHELLS: [Shell; 3] = [
    Shell { name: "bash", arguments: &["--norc", "--noprofile", "-i"], setup: "source <(pfscript --completions bash)" },
    Shell {
        name: "zsh",
        arguments: &["-f", "-i"],
        setup: "autoload -U compinit; compinit -D; source <(pfscript --completions zsh)",
    },
    Shell { name: "fish", arguments: &["--no-config", "-i"], setup: "pfscript --completions fish | source" },
];

/// Types each line and looks what becomes of it.
pub fn complete(shell: &str) -> Result<(), Failed> {
    let shell = SHELLS.iter().find(|known| known.name == shell).ok_or("no such shell")?;
    let folder = std::env::temp_dir().join(format!("pfscript-completions-{}-{}", shell.name, std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("own.pf"), "param of_its_own = 1; BEGIN { exit(of_its_own); }")?;
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_pfscript"));
    let path = format!("{}:{}", binary.parent().unwrap_or(binary).display(), std::env::var("PATH")?);
    let command = Command::new(shell.name).args(shell.arguments).current_dir(&folder);
    let command = command.env("PATH", path).env("HOME", &folder).env("PS1", "$ ").env("PROMPT", "$ ");
    let console = Console::run(command, (40, 120))?;
    let result = complete_lines(shell, &console);
    console.send(libc::SIGKILL);
    console.end()?;
    std::fs::remove_dir_all(&folder)?;
    result
}

fn complete_lines(shell: &Shell, console: &Console) -> Result<(), Failed> {
    console.press(&format!("{}; echo is\"\"ready\n", shell.setup))?;
    console.wait_for("that the shell is ready", |text| text.lines().any(|line| line.trim_end() == "isready"))?;
    for (typed, expected) in LINES {
        console.press(typed)?;
        console.wait_for(typed, |text| text.contains(typed))?;
        console.press("\t")?;
        // A mark behind the cursor shows the blank that a whole word gets.
        console.press("#")?;
        console.wait_for(expected, |text| text.contains(&format!("{expected}#")))?;
        console.press("\x15\x0c")?;
        console.wait_for("an empty line", |text| !text.contains(typed))?;
    }
    Ok(())
}
