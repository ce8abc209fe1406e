//! The fenced blocks of a document, and what the first word behind the fence says of them.
//!
//! | block | is |
//! |---|---|
//! | `pfscript` | a whole script: compiled and run. `pfscript NAME.pf` is also that file for the commands that follow |
//! | `console` | commands, each behind `$ `, with what they print |
//! | `sh` | commands, one a line |
//! | `bytecode` | a piece of a listing of `--dump-bytecode`; behind it script, program and its number of instructions |
//! | none | what is neither: a picture in letters, output alone. It holds no command |
//!
//! `kprobe` behind `console` or `sh` says that the commands need kprobes, which not every kernel has.

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The line of its first fence, from 1.
    pub line: usize,
    /// The words behind the fence.
    pub words: Vec<String>,
    /// What is in it.
    pub text: String,
}

/// A command of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What the shell runs.
    pub command: String,
    /// What the document shows of its output, perhaps nothing.
    pub shown: Vec<String>,
}

impl Session {
    /// A whole command, of which nothing is shown; none when it is no `pfscript`, or has a placeholder.
    pub fn of(command: &str) -> Option<Self> {
        is_whole_command(command).then(|| Self { command: command.to_owned(), shown: Vec::new() })
    }
}

/// The blocks of a document, in order.
pub fn fences(document: &str) -> Vec<Fence> {
    let (mut fences, mut open): (Vec<Fence>, Option<Fence>) = (Vec::new(), None);
    for (index, line) in document.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(words)) => {
                let words = words.split_whitespace().map(str::to_owned).collect();
                open = Some(Fence { line: index + 1, words, text: String::new() });
            }
            (Some(_), Some(_)) => fences.extend(open.take()),
            (Some(fence), None) => fence.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block does not end");
    fences
}

impl Fence {
    /// What kind of block it is.
    pub fn kind(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Whether `word` stands behind the kind.
    pub fn is_marked(&self, word: &str) -> bool {
        self.words.iter().skip(1).any(|own| own == word)
    }

    /// Its commands; none of a block of another kind.
    pub fn sessions(&self) -> Vec<Session> {
        match self.kind() {
            "console" => console(&self.text),
            "sh" => {
                self.text.lines().filter_map(shell_line).map(|command| Session { command, shown: vec![] }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What is wrong with it as a block.
    pub fn mistake(&self) -> Option<String> {
        let starts = |line: &str| ["$ ", "sudo ", "cargo ", "pfscript "].iter().any(|start| line.starts_with(start));
        // The pattern of all command lines is none.
        let is_command = |line: &str| starts(line) && !line.contains("[OPTIONS]");
        match self.kind() {
            "console" if self.sessions().is_empty() => Some("no line begins with `$ `".to_owned()),
            "pfscript" | "console" | "sh" | "bytecode" => None,
            "" => self
                .text
                .lines()
                .find(|line| is_command(line))
                .map(|line| format!("a command in a plain block: {line}")),
            other => Some(format!("nobody tests blocks of the kind {other}")),
        }
    }
}

/// A command begins with `$ ` and goes on in the lines behind one that ends with `\`.
fn console(text: &str) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        match (line.strip_prefix("$ "), sessions.last_mut()) {
            (Some(command), _) => sessions.push(Session { command: command.to_owned(), shown: Vec::new() }),
            (None, Some(last)) if goes_on => last.command += &format!("\n{line}"),
            (None, Some(last)) => last.shown.push(line.to_owned()),
            (None, None) => panic!("output without a command: {line}"),
        }
        goes_on = line.ends_with('\\') && (goes_on || line.starts_with("$ "));
    }
    sessions
}

/// The commands in the text itself, between single backticks. One with a placeholder, as
/// `pfscript FILE`, is none.
pub fn inline(document: &str) -> Vec<Session> {
    let mut is_text = true;
    let mut commands = Vec::new();
    for line in document.lines() {
        is_text ^= line.starts_with("```");
        let spans = line.split('`').skip(1).step_by(2).filter(|_| is_text);
        commands.extend(spans.filter_map(Session::of));
    }
    commands
}

fn is_whole_command(span: &str) -> bool {
    let is_placeholder =
        |word: &str| word == "..." || word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    ["pfscript ", "sudo pfscript "].iter().any(|start| span.starts_with(start))
        && !span.split([' ', '[', ']', '=', '.']).any(is_placeholder)
}

/// A line without the remark at its end.
fn shell_line(line: &str) -> Option<String> {
    let command = line.split(" # ").next().unwrap_or(line).trim();
    (!command.is_empty() && !command.starts_with('#')).then(|| command.to_owned())
}
