//! Where scripts come from: files, standard input, the command line, and the ones built in.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pfscript_grammar::{MAX_SCRIPT_BYTES, SourceFile};

use crate::cli::scan::ScriptRef;

/// The scripts that are part of the binary: name and text. The first is run when none is named.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("pagefault", include_str!("../../scripts/pagefault.pf")),
    ("minor-major", include_str!("../../scripts/minor-major.pf")),
    ("faults-per-second", include_str!("../../scripts/faults-per-second.pf")),
    ("faults-by-comm", include_str!("../../scripts/faults-by-comm.pf")),
    ("faults-by-access", include_str!("../../scripts/faults-by-access.pf")),
    ("faults-by-file", include_str!("../../scripts/faults-by-file.pf")),
    ("faults-by-stack", include_str!("../../scripts/faults-by-stack.pf")),
    ("fault-latency", include_str!("../../scripts/fault-latency.pf")),
    ("exec-faults", include_str!("../../scripts/exec-faults.pf")),
    ("rss-growth", include_str!("../../scripts/rss-growth.pf")),
    ("page-cache", include_str!("../../scripts/page-cache.pf")),
    ("oom-kills", include_str!("../../scripts/oom-kills.pf")),
    ("off-cpu", include_str!("../../scripts/off-cpu.pf")),
    ("run-queue", include_str!("../../scripts/run-queue.pf")),
    ("syscalls", include_str!("../../scripts/syscalls.pf")),
];

/// Why there is no script to work on.
#[derive(Debug, PartialEq, Eq)]
pub enum NoScript {
    /// It could not be read: the command line is wrong.
    Unreadable {
        /// What happened.
        message: String,
        /// What to do.
        help: Vec<String>,
    },
    /// It was read and is no script.
    Unusable(String),
}

/// Reads the script.
///
/// # Errors
/// Why there is none.
pub fn read(script: &ScriptRef) -> Result<SourceFile, NoScript> {
    match script {
        ScriptRef::Program(text) => accept("-e", text.clone().into_bytes()),
        ScriptRef::Stdin => read_from("<stdin>", Ok(io::stdin().lock()), OsStr::new("-")),
        ScriptRef::Default => accept(BUILT_IN[0].0, BUILT_IN[0].1.into()),
        ScriptRef::Named(name) => match BUILT_IN.iter().find(|(built_in, _)| name == *built_in) {
            Some((name, text)) => accept(name, (*text).into()),
            None => read_from(&name.to_string_lossy(), File::open(name), name),
        },
    }
}

fn read_from(title: &str, from: io::Result<impl Read>, name: &OsStr) -> Result<SourceFile, NoScript> {
    let mut bytes = Vec::new();
    match from.and_then(|from| from.take(MAX_SCRIPT_BYTES as u64 + 1).read_to_end(&mut bytes)) {
        Ok(_) => accept(title, bytes),
        Err(error) => Err(unreadable(title, name, &error)),
    }
}

/// Takes the bytes for a script if they are text.
fn accept(title: &str, bytes: Vec<u8>) -> Result<SourceFile, NoScript> {
    if bytes.len() > MAX_SCRIPT_BYTES {
        return Err(NoScript::Unusable(format!(
            "{title}: not a script, it is larger than {} KiB",
            MAX_SCRIPT_BYTES >> 10
        )));
    }
    let is_empty = bytes.iter().all(u8::is_ascii_whitespace);
    if is_empty {
        return Err(NoScript::Unusable(format!("{title}: the script is empty")));
    }
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err(NoScript::Unusable(format!("{title}: not a script, byte {at} is a NUL, so it is not text")));
    }
    String::from_utf8(bytes).map(|text| SourceFile::new(title, text)).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        NoScript::Unusable(format!("{title}: not a script, byte {at} is not UTF-8, so it is not text"))
    })
}

fn unreadable(title: &str, name: &OsStr, error: &io::Error) -> NoScript {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file and no such built-in script".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let help = if error.kind() == io::ErrorKind::NotFound { suggestions(Path::new(name)) } else { Vec::new() };
    NoScript::Unreadable { message: format!("cannot read the script {title}: {reason}"), help }
}

/// Names that may have been meant.
fn suggestions(path: &Path) -> Vec<String> {
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let near = |name: &str| is_near(&wanted, name);
    let mut help: Vec<_> = neighbours(path).into_iter().filter(|name| near(name)).collect();
    help.sort_unstable();
    help.truncate(3);
    let mut help: Vec<_> =
        help.iter().map(|name| format!("did you mean {}", path.with_file_name(name).display())).collect();
    let built_in = BUILT_IN.iter().map(|&(name, _)| name);
    match built_in.clone().find(|name| near(name)) {
        Some(name) => help.push(format!("did you mean the built-in {name}")),
        None => help.push(format!("built-in scripts: {}", built_in.collect::<Vec<_>>().join(", "))),
    }
    help
}

/// The names of the files beside `path`; of a huge directory only some.
fn neighbours(path: &Path) -> Vec<String> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = directory.read_dir() else { return Vec::new() };
    let files = entries.take(4096).flatten().filter(|entry| entry.path().is_file());
    files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Whether `name` is what `wanted` may have been meant to be: some typing errors apart, with or
/// without `.pf`.
fn is_near(wanted: &str, name: &str) -> bool {
    let (wanted, name) = (wanted.trim_end_matches(".pf"), name.trim_end_matches(".pf"));
    let letters = wanted.chars().count();
    // Of one letter nothing is left when it is exchanged.
    letters > 1 && strsim::damerau_levenshtein(wanted, name) <= letters.div_ceil(4).min(3)
}

/// The built-in scripts with the first line of their comment, for `--list-scripts`.
pub fn list() -> String {
    let line = |&(name, text): &(&str, &str)| format!("{name:<17} {}\n", purpose(text));
    BUILT_IN.iter().map(line).collect()
}

/// What stands in a script's first comment: `// name.pf - purpose`.
pub fn purpose(text: &str) -> &str {
    let comment = text.lines().find_map(|line| line.strip_prefix("// ")).unwrap_or_default();
    comment.split_once(" - ").map_or(comment, |(_, purpose)| purpose).trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<SourceFile, NoScript> {
        read(&ScriptRef::Named(name.into()))
    }

    fn scratch(name: &str, bytes: &[u8]) -> String {
        let directory = std::env::temp_dir().join(format!("pfscript-script-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn unusable(bytes: &[u8]) -> String {
        match accept("x", bytes.into()) {
            Err(NoScript::Unusable(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_built_in_script_is_the_default() {
        let source = read(&ScriptRef::Default).expect("built in");
        assert_eq!(source.text(), named("pagefault").expect("built in").text());
        assert!(list().starts_with("pagefault         report a process each time"), "{}", list());
    }

    #[test]
    fn what_is_not_text_is_no_script() {
        assert_eq!(unusable(b""), "x: the script is empty");
        assert_eq!(unusable(b" \n"), "x: the script is empty");
        assert_eq!(unusable(b"\x7fELF\0"), "x: not a script, byte 4 is a NUL, so it is not text");
        assert_eq!(unusable(b"ab\xff"), "x: not a script, byte 2 is not UTF-8, so it is not text");
    }

    #[test]
    fn a_missing_file_suggests_its_neighbours_and_the_built_in() {
        let path = scratch("faults.pf", b"BEGIN {}");
        let Err(NoScript::Unreadable { message, help }) = named(&path.replace("faults", "fautls")) else {
            panic!("read")
        };
        assert!(message.ends_with("fautls.pf: there is no such file and no such built-in script"), "{message}");
        assert_eq!(help[0], format!("did you mean {path}"));
        assert!(help[1].starts_with("built-in scripts: pagefault, minor-major, "), "{}", help[1]);
        let Err(NoScript::Unreadable { help, .. }) = named("pagefalt") else { panic!("read") };
        assert_eq!(help.last().map(String::as_str), Some("did you mean the built-in pagefault"));
        let path = scratch("x", b"BEGIN {}");
        let Err(NoScript::Unreadable { help, .. }) = named(&path.replace("/x", "/1")) else { panic!("read") };
        assert!(help[0].starts_with("built-in scripts: "), "{}", help[0]);
    }

    #[test]
    fn a_directory_is_named_as_one() {
        let Err(NoScript::Unreadable { message, help }) = named("/") else { panic!("read") };
        assert_eq!((message.as_str(), help.len()), ("cannot read the script /: it is a directory", 0));
    }

    #[test]
    fn endless_input_is_refused() {
        let endless = read_from("x", Ok(io::repeat(b'a')), OsStr::new("x"));
        assert_eq!(endless.err(), Some(NoScript::Unusable("x: not a script, it is larger than 1024 KiB".into())));
    }
}
