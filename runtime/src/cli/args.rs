//! What the command line asks for. Once [`scan`](crate::cli::scan) has found the script, and the
//! script has said what its parameters are, [`parse`] understands everything.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use pfscript_compiler::params::{ParamSpec, ParamValue};

use crate::cli::options::{command, param_id};
use crate::cli::scan::{Scan, ScriptRef};
use crate::output::{FormName, Verbosity};

/// What is to be done with the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Trace with it.
    Run,
    /// Only say what is wrong with it.
    Check,
    /// Show its syntax tree.
    DumpAst,
    /// Show its IR, after all passes or after the one named.
    DumpIr(String),
    /// Show its bytecode.
    DumpBytecode,
    /// Write its eBPF object.
    EmitObj(PathBuf),
    /// List the probes that match.
    List(String),
    /// Name the built-in scripts.
    ListScripts,
    /// Say what a code means, or what all do.
    Explain(Option<String>),
    /// Name what a script may name (`--reference`).
    Reference,
    /// Print what makes this shell complete command lines.
    Completions(String),
}

/// The command line, understood.
#[derive(Clone, Debug)]
pub struct Args {
    /// What to do.
    pub mode: Mode,
    /// How data is laid out.
    pub form: FormName,
    /// Where data goes; standard output when absent.
    pub output: Option<PathBuf>,
    /// Where maps keyed by stacks are drawn.
    pub flamegraph: Option<PathBuf>,
    /// What else is said.
    pub verbosity: Verbosity,
    /// The command to run and trace.
    pub command: Option<String>,
    /// The processes to trace, unless it is all of them.
    pub pids: Vec<u32>,
    /// When to stop, counted from the start of tracing.
    pub duration: Option<Duration>,
    /// How many events to report at most.
    pub max_events: Option<u64>,
    /// Bytes of the buffer of each CPU; the session knows what is usual.
    pub buffer_size: Option<usize>,
    /// The script's parameters that were given, by name.
    pub params: Vec<(String, ParamValue)>,
    /// Show a live view, of the map of this name; of the first if it is empty.
    pub top: Option<String>,
    /// `$1`, `$2`, ...
    pub positional: Vec<String>,
}

/// Understands `words` (without the program's own name), the script being called `title` and
/// having the parameters `params`.
///
/// # Errors
/// What is wrong with the command line, or the help or version that was asked for.
pub fn parse(words: &[OsString], scan: &Scan, title: &str, params: &[ParamSpec]) -> Result<Args, Box<clap::Error>> {
    let mut command = command(matches!(scan.script, ScriptRef::Program(_)), title, params);
    let name = OsString::from("pfscript");
    match command.try_get_matches_from_mut(std::iter::once(&name).chain(words)) {
        Ok(matches) => Ok(understand(&matches, params)),
        Err(error) => Err(Box::new(explain(error, scan, title, params))),
    }
}

fn understand(matches: &ArgMatches, params: &[ParamSpec]) -> Args {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let path = |name| matches.get_one::<PathBuf>(name).cloned();
    let given = |param: &ParamSpec| {
        let value = matches.get_one::<ParamValue>(&param_id(param))?;
        Some((param.name.clone(), value.clone()))
    };
    Args {
        mode: mode(matches),
        form: match text("format") {
            Some("json") => FormName::Json,
            Some("csv") => FormName::Csv,
            Some("folded") => FormName::Folded,
            _ => FormName::Table,
        },
        output: path("output").filter(|path| path.as_os_str() != OsStr::new("-")),
        flamegraph: path("flamegraph"),
        verbosity: match (matches.get_flag("quiet"), matches.get_flag("verbose")) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        },
        command: text("command").map(str::to_owned),
        pids: matches.get_many::<u32>("pid").unwrap_or_default().copied().collect(),
        duration: matches.get_one("duration").copied(),
        max_events: matches.get_one("max-events").copied(),
        buffer_size: matches.get_one("buffer-size").copied(),
        top: text("top").map(str::to_owned),
        params: params.iter().filter_map(given).collect(),
        positional: matches.get_many::<String>("args").unwrap_or_default().cloned().collect(),
    }
}

fn mode(matches: &ArgMatches) -> Mode {
    let flag = |name| matches.get_flag(name);
    let text = |name| matches.get_one::<String>(name).cloned();
    match () {
        () if flag("list-scripts") => Mode::ListScripts,
        () if matches.contains_id("list") => Mode::List(text("list").unwrap_or_default()),
        () if flag("reference") => Mode::Reference,
        () if flag("check") => Mode::Check,
        () if flag("dump-ast") => Mode::DumpAst,
        () if flag("dump-bytecode") => Mode::DumpBytecode,
        () => match (text("dump-ir"), matches.get_one::<PathBuf>("emit-obj"), text("explain")) {
            (Some(pass), _, _) => Mode::DumpIr(pass),
            (_, Some(file), _) => Mode::EmitObj(file.clone()),
            _ if matches.contains_id("completions") => Mode::Completions(text("completions").unwrap_or_default()),
            (_, _, Some(code)) => Mode::Explain(Some(code).filter(|code| !code.is_empty())),
            _ => Mode::Run,
        },
    }
}

/// Adds to an error about an unknown option what the script's parameters are.
fn explain(mut error: clap::Error, scan: &Scan, title: &str, params: &[ParamSpec]) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return error };
    let mut tips = vec![StyledStr::from(list_params(title, params))];
    let taken = scan.taken.iter().find(|(name, word)| name == unknown && Path::new(word).is_file());
    if let (ScriptRef::Default, Some((option, word))) = (&scan.script, taken) {
        let word = word.to_string_lossy();
        tips.push(StyledStr::from(format!("'{word}' was taken for the value of {option}: to run it, name it first")));
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    error
}

fn list_params(title: &str, params: &[ParamSpec]) -> String {
    let names: Vec<_> = params.iter().map(|param| format!("--{}", param.name)).collect();
    match names.as_slice() {
        [] => format!("the script {title} has no parameters"),
        [one] => format!("the only parameter of the script {title} is {one}"),
        _ => format!("the parameters of the script {title} are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use pfscript_compiler::params::ParamType;

    use super::*;
    use crate::cli::options::clashing;
    use crate::cli::scan::scan;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn params() -> Vec<ParamSpec> {
        let log_step = ParamSpec {
            name: "log_step".into(),
            ty: ParamType::Int { name: "uint64", low: 1, high: u64::MAX.into(), ranged: true },
            default: Some(ParamValue::Int(50)),
            help: "report every this many".into(),
        };
        let all = ParamSpec {
            name: "all".into(),
            ty: ParamType::Bool,
            default: Some(ParamValue::Int(0)),
            help: String::new(),
        };
        let who = ParamSpec {
            name: "who".into(),
            ty: ParamType::Str,
            default: Some(ParamValue::Str("a b".into())),
            help: String::new(),
        };
        vec![log_step, all, who]
    }

    fn parsed(line: &str) -> Result<Args, String> {
        let words = words(line);
        parse(&words, &scan(&words), "x.pf", &params()).map_err(|error| error.render().to_string())
    }

    fn failed(line: &str) -> String {
        parsed(line).expect_err("refused")
    }

    #[test]
    fn the_options_are_consistent() {
        command(false, "x.pf", &params()).debug_assert();
        command(true, "x.pf", &params()).debug_assert();
    }

    #[test]
    fn parameters_are_the_same_in_every_spelling_and_place() {
        for line in ["x.pf --log_step 70", "--log_step=70 x.pf", "--log-step 70 x.pf -q", "--log-step=70"] {
            let args = parsed(line).expect(line);
            assert_eq!(args.params, [("log_step".into(), ParamValue::Int(70))], "{line}");
            assert_eq!(args.positional, [""; 0], "{line}");
        }
    }

    #[test]
    fn bools_take_no_word_and_strings_take_any() {
        let args = parsed("x.pf --all 5 --who me").expect("good");
        let expected = [("all".into(), ParamValue::Int(1)), ("who".into(), ParamValue::Str("me".into()))];
        assert_eq!(args.params, expected);
        assert_eq!(args.positional, ["5"]);
        assert_eq!(parsed("x.pf --all=false").expect("good").params, [("all".into(), ParamValue::Int(0))]);
    }

    #[test]
    fn words_after_the_script_are_its_arguments() {
        assert_eq!(parsed("x.pf 1 -5 abc").expect("good").positional, ["1", "-5", "abc"]);
        assert_eq!(parsed("1 -e x 2").expect("good").positional, ["1", "2"]);
    }

    #[test]
    fn bad_values_say_what_would_be_right() {
        let right = "it must be a uint64 of 1 or more";
        for (value, what) in [
            ("abc", "not a number"),
            ("0", "out of range"),
            ("-5", "negative, but"),
            ("99999999999999999999", "out of range"),
        ] {
            let error = failed(&format!("x.pf --log_step {value}"));
            assert!(
                error.starts_with(&format!("error: invalid value '{value}' for '--log_step <uint64>': {what}")),
                "{error}"
            );
            assert!(error.contains(right), "{error}");
        }
        assert!(failed("x.pf --log_step").contains("a value is required for '--log_step <uint64>'"));
        assert!(failed("x.pf --log_step --check").contains("a value is required"));
        assert!(failed("--log_step 1 --log-step 2").contains("cannot be used multiple times"));
    }

    #[test]
    fn unknown_options_list_what_there_is() {
        let error = failed("x.pf --log_stop 3");
        assert!(error.contains("unexpected argument '--log_stop' found"), "{error}");
        assert!(error.contains("a similar argument exists: '--log_step'"), "{error}");
        assert!(error.contains("the parameters of the script x.pf are --log_step, --all, --who"), "{error}");
        let error = failed("--verbos Cargo.toml");
        assert!(error.contains("'Cargo.toml' was taken for the value of --verbos"), "{error}");
    }

    #[test]
    fn a_required_parameter_must_be_given() {
        let required = [ParamSpec { default: None, ..params().remove(0) }];
        let given = |line| {
            let words = words(line);
            parse(&words, &scan(&words), "x.pf", &required).map_err(|error| error.render().to_string())
        };
        assert!(given("x.pf").expect_err("refused").contains("--log_step <uint64>"));
        assert!(given("x.pf --dump-ast").is_ok());
    }

    #[test]
    fn help_shows_the_scripts_parameters() {
        let help = failed("x.pf --help");
        assert!(help.contains("Parameters of x.pf:\n"), "{help}");
        assert!(help.contains("--log_step <uint64>"), "{help}");
        assert!(help.contains("report every this many [default: 50] [range: 1..]"), "{help}");
        assert!(help.contains("[default: false]"), "{help}");
        assert!(help.contains("--dump-ir[=<PASS>]"), "{help}");
    }

    #[test]
    fn parameters_may_not_be_called_as_options() {
        let called = |name: &str| [ParamSpec { name: name.into(), ..params().remove(0) }];
        for name in ["help", "max_events", "format"] {
            assert!(clashing(&called(name)).is_some(), "{name}");
        }
        for name in ["log_step", "script", "args", "mode", "program"] {
            let params = called(name);
            assert!(clashing(&params).is_none(), "{name}");
            command(false, "x.pf", &params).debug_assert();
        }
    }

    #[test]
    fn what_to_do_is_one_thing() {
        let mode = |line| parsed(line).expect(line).mode;
        assert_eq!(mode("x.pf"), Mode::Run);
        assert_eq!(mode("--dump-ir x.pf"), Mode::DumpIr("share_stack_slots".into()));
        assert_eq!(mode("--dump-ir=fold_constants x.pf"), Mode::DumpIr("fold_constants".into()));
        assert_eq!(mode("--emit-obj a.o x.pf"), Mode::EmitObj("a.o".into()));
        assert!(failed("--check --dump-ast x.pf").contains("cannot be used with"));
    }
}
