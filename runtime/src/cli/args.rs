//! The command line. The only file that knows clap.
//!
//! A script's parameters are options like the tool's own, so the script has to be known before
//! the command line can be understood: [`scan`] finds it with what is known beforehand (the tool's
//! own options; anything else that begins with `--` takes the next word as its value), and once
//! the script has said what its parameters are, [`parse`] understands everything.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use pfscript_compiler::params::{ParamSpec, ParamType, ParamValue};
use pfscript_compiler::pass_names;

use crate::output::{FormName, Verbosity};

const USAGE: &str = "pfscript [OPTIONS] [SCRIPT] [--PARAM VALUE]... [ARG]...
       pfscript [OPTIONS] -e PROGRAM [--PARAM VALUE]... [ARG]...";
const EXAMPLES: &str = "\
Examples:
  sudo pfscript                                report processes by page faults (built-in pagefault)
  sudo pfscript pagefault --log_step 70        the same, every 70 faults
  sudo pfscript script.pf -f json -o out.json  run a script, events as JSON lines
  pfscript script.pf --help                    show a script's own parameters
  pfscript script.pf --check                   only say what is wrong with it";

/// Where the script is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptRef {
    /// The text is an argument (`-e`).
    Program(String),
    /// Standard input (`-`).
    Stdin,
    /// A file's path or a built-in script's name.
    Named(OsString),
    /// None was named.
    Default,
}

/// What the first look at the command line found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The script.
    pub script: ScriptRef,
    /// Unknown options with the word that was taken for their value.
    taken: Vec<(String, OsString)>,
}

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
    /// What else is said.
    pub verbosity: Verbosity,
    /// When to stop, counted from the start of tracing.
    pub duration: Option<Duration>,
    /// How many events to report at most.
    pub max_events: Option<u64>,
    /// Bytes of the buffer of each CPU; the session knows what is usual.
    pub buffer_size: Option<usize>,
    /// The script's parameters that were given, by name.
    pub params: Vec<(String, ParamValue)>,
    /// `$1`, `$2`, ...
    pub positional: Vec<String>,
}

/// The tool's options: a row each.
fn options() -> Vec<Arg> {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let value = |name: &'static str, placeholder: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(placeholder).help(help)
    };
    vec![
        Arg::new("program")
            .short('e')
            .value_name("PROGRAM")
            .allow_hyphen_values(true)
            .help("Take the script from the command line"),
        value("format", "FORM", "How data is laid out")
            .short('f')
            .default_value("table")
            .value_parser(PossibleValuesParser::new(["table", "json", "csv"])),
        value("output", "FILE", "Write data to FILE, made new or emptied")
            .short('o')
            .value_parser(value_parser!(PathBuf)),
        value("duration", "TIME", "Stop after this time, such as 10s, 500ms or 2m").value_parser(parse_duration),
        value("max-events", "N", "Stop after N events").value_parser(value_parser!(u64).range(1..)),
        value("buffer-size", "BYTES", "Room for events on each CPU [default: 1M]").value_parser(parse_size),
        flag("quiet", "Say nothing but what was lost or went wrong").short('q').conflicts_with("verbose"),
        flag("verbose", "Say what is compiled, loaded, attached and passed over").short('v'),
        flag("check", "Only say what is wrong with the script (needs no privileges)"),
        flag("dump-ast", "Show the syntax tree (needs no privileges)"),
        value("dump-ir", "PASS", "Show the IR, after all passes or after PASS (needs no privileges)")
            .num_args(0..=1)
            .require_equals(true)
            .value_parser(PossibleValuesParser::new(pass_names()))
            .hide_possible_values(true)
            .default_missing_value(pass_names().last().unwrap_or_default()),
        flag("dump-bytecode", "Show the bytecode beside the script's lines (needs no privileges)"),
        value("emit-obj", "FILE", "Write an eBPF object that bpftool and libbpf load")
            .value_parser(value_parser!(PathBuf)),
        value(
            "list",
            "PATTERN",
            "List the probes that match, `*` and `?` standing for anything; with -v their arguments",
        )
        .short('l')
        .num_args(0..=1)
        .default_missing_value("*"),
        flag("list-scripts", "Name the built-in scripts"),
        value("explain", "CODE", "Say what a diagnostic's code means, such as PF0101; without CODE, what all mean")
            .num_args(0..=1)
            .default_missing_value(""),
        flag("reference", "Name the probes, builtins and functions of the language"),
        Arg::new("help")
            .long("help")
            .short('h')
            .action(ArgAction::Help)
            .help("Show this help, with the script's parameters"),
        Arg::new("version").long("version").short('V').action(ArgAction::Version).help("Show the version"),
    ]
}

/// The options that exclude one another: what is done with the script.
const MODES: [&str; 9] =
    ["check", "dump-ast", "dump-ir", "dump-bytecode", "emit-obj", "list", "list-scripts", "reference", "explain"];

/// Finds the script in `words` (without the program's own name).
pub fn scan(words: &[OsString]) -> Scan {
    let options = options();
    let mut scan = Scan { script: ScriptRef::Default, taken: Vec::new() };
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            scan.offer(words.next());
            break;
        } else if let Some(long) = text.strip_prefix("--") {
            if long.contains('=') {
                continue;
            }
            match options.iter().find(|option| option.get_long() == Some(long)) {
                Some(option) if takes_next_word(option) => drop(words.next()),
                Some(_) => {}
                None => {
                    let value = words.next_if(|value| !value.to_string_lossy().starts_with("--"));
                    scan.taken.extend(value.map(|value| (text.to_string(), value.clone())));
                }
            }
        } else if text.len() > 1 && text.starts_with('-') {
            scan.short(&options, &text[1..], &mut words);
        } else {
            scan.offer(Some(word));
        }
    }
    scan
}

impl Scan {
    /// Takes `word` for the script unless there is one already.
    fn offer(&mut self, word: Option<&OsString>) {
        if let (ScriptRef::Default, Some(word)) = (&self.script, word) {
            self.script = if word == "-" { ScriptRef::Stdin } else { ScriptRef::Named(word.clone()) };
        }
    }

    /// A group of short options: `-qv`, `-fjson`, `-e PROGRAM`.
    fn short<'a>(&mut self, options: &[Arg], group: &str, words: &mut impl Iterator<Item = &'a OsString>) {
        for (at, letter) in group.char_indices() {
            let Some(option) = options.iter().find(|option| option.get_short() == Some(letter)) else { return };
            if takes_next_word(option) {
                let rest = &group[at + letter.len_utf8()..];
                let value =
                    if rest.is_empty() { words.next().map(|word| word.to_string_lossy().into_owned()) } else { None };
                let value = value.unwrap_or_else(|| rest.strip_prefix('=').unwrap_or(rest).to_owned());
                if letter == 'e' {
                    self.script = ScriptRef::Program(value);
                }
                return;
            }
        }
    }
}

fn takes_next_word(option: &Arg) -> bool {
    option.get_action().takes_values() && !option.is_require_equals_set()
}

/// A parameter that has the name of one of the tool's options, if there is one.
pub fn clashing(params: &[ParamSpec]) -> Option<&ParamSpec> {
    let options = options();
    let long = |param: &ParamSpec| param.name.replace('_', "-");
    params.iter().find(|param| options.iter().any(|option| option.get_long() == Some(long(param).as_str())))
}

/// Understands `words` (without the program's own name), the script being called `title` and
/// having the parameters `params`.
///
/// # Errors
/// What is wrong with the command line, or the help or version that was asked for.
pub fn parse(words: &[OsString], scan: &Scan, title: &str, params: &[ParamSpec]) -> Result<Args, Box<clap::Error>> {
    let mut command = command(scan, title, params);
    let name = OsString::from("pfscript");
    match command.try_get_matches_from_mut(std::iter::once(&name).chain(words)) {
        Ok(matches) => Ok(understand(&matches, params)),
        Err(error) => Err(Box::new(explain(error, scan, title, params))),
    }
}

fn command(scan: &Scan, title: &str, params: &[ParamSpec]) -> Command {
    let mut command = Command::new("pfscript")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Run a tracing script: compile it to eBPF, load it, print what it reports")
        .override_usage(USAGE)
        .after_help(EXAMPLES)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(options())
        .group(ArgGroup::new("mode").args(MODES));
    if !matches!(scan.script, ScriptRef::Program(_)) {
        let help = "A file, - for standard input, or a built-in script [default: pagefault]";
        command = command.arg(Arg::new("script").value_name("SCRIPT").value_parser(value_parser!(OsString)).help(help));
    }
    let positional = Arg::new("args").value_name("ARG").num_args(0..).allow_negative_numbers(true);
    command = command.arg(positional.help("What $1, $2, ... stand for in the script"));
    command.next_help_heading(format!("Parameters of {title}")).args(params.iter().map(param_option))
}

/// The identifier of a parameter's option: never that of one of the tool's own.
fn param_id(param: &ParamSpec) -> String {
    format!("param {}", param.name)
}

fn param_option(param: &ParamSpec) -> Arg {
    let spec = param.clone();
    let option = Arg::new(param_id(param))
        .long(param.name.clone())
        .alias(param.name.replace('_', "-"))
        .value_name(param.ty.name())
        .value_parser(move |text: &str| spec.parse(text))
        .help(param_help(param));
    match param.ty {
        ParamType::Bool => option.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ if param.default.is_none() => option.allow_negative_numbers(true).required_unless_present_any([
            "dump-ast",
            "list",
            "list-scripts",
            "reference",
            "explain",
        ]),
        _ => option.allow_negative_numbers(true),
    }
}

/// `report every ... [default: 50] [range: 1..]`
fn param_help(param: &ParamSpec) -> String {
    let default = match &param.default {
        None => "[required]".to_owned(),
        Some(ParamValue::Int(value)) if param.ty == ParamType::Bool => format!("[default: {}]", *value != 0),
        Some(ParamValue::Str(text)) => format!("[default: {text:?}]"),
        Some(value) => format!("[default: {value}]"),
    };
    let range = param.ty.range().map(|range| format!("[range: {range}]"));
    let parts = [Some(param.help.clone()).filter(|help| !help.is_empty()), Some(default), range];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
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
            _ => FormName::Table,
        },
        output: path("output").filter(|path| path.as_os_str() != OsStr::new("-")),
        verbosity: match (matches.get_flag("quiet"), matches.get_flag("verbose")) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        },
        duration: matches.get_one("duration").copied(),
        max_events: matches.get_one("max-events").copied(),
        buffer_size: matches.get_one("buffer-size").copied(),
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

/// `10s`, `500ms`, `1.5m`, `2h`
fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 6] = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| "not a time, write for example 10s, 500ms or 2m".to_owned())?;
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() {
            format!("without a unit, write for example {text}s")
        } else {
            "unknown unit, it must be ns, us, ms, s, m or h".to_owned()
        });
    };
    match Duration::try_from_secs_f64(number * factor) {
        Ok(duration) if duration.is_zero() => Err("no time at all".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("too long".to_owned()),
    }
}

/// `1M`, `256K`, `65536`: bytes, of 4 KiB at least and 1 GiB at most.
fn parse_size(text: &str) -> Result<usize, String> {
    let suffixes = [("K", 10), ("M", 20), ("G", 30)];
    let suffix = suffixes.iter().find_map(|&(suffix, shift)| Some((text.strip_suffix(suffix)?, shift)));
    let (number, shift) = suffix.unwrap_or((text, 0));
    let number: usize = number.parse().map_err(|_| "not a size, write for example 256K or 1M".to_owned())?;
    match number.checked_mul(1 << shift) {
        Some(size) if (4 << 10..=1 << 30).contains(&size) => Ok(size),
        _ => Err("out of range, it must be from 4K to 1G".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn named(name: &str) -> ScriptRef {
        ScriptRef::Named(name.into())
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
        command(&scan(&[]), "x.pf", &params()).debug_assert();
        command(&scan(&words("-e x")), "x.pf", &params()).debug_assert();
    }

    #[test]
    fn the_script_is_found_wherever_it_stands() {
        let cases = [
            ("", ScriptRef::Default),
            ("x.pf", named("x.pf")),
            ("-", ScriptRef::Stdin),
            ("x.pf --log_step 70 y", named("x.pf")),
            ("--log_step 70 x.pf", named("x.pf")),
            ("--log_step=70 x.pf", named("x.pf")),
            ("--log-step -5 x.pf", named("x.pf")),
            ("--check x.pf", named("x.pf")),
            ("--dump-ir x.pf", named("x.pf")),
            ("--dump-ir=fold x.pf", named("x.pf")),
            ("--duration 10s x.pf", named("x.pf")),
            ("-qv x.pf", named("x.pf")),
            ("-f json x.pf", named("x.pf")),
            ("-fjson x.pf", named("x.pf")),
            ("-qf json x.pf", named("x.pf")),
            ("--all --log_step 70 x.pf", named("x.pf")),
            ("--log_step 70 -- --x.pf", named("--x.pf")),
            ("--log_step 70", ScriptRef::Default),
            ("-e BEGIN{}", ScriptRef::Program("BEGIN{}".into())),
            ("-eBEGIN{}", ScriptRef::Program("BEGIN{}".into())),
            ("1 2 -qe BEGIN{}", ScriptRef::Program("BEGIN{}".into())),
        ];
        for (line, script) in cases {
            assert_eq!(scan(&words(line)).script, script, "{line}");
        }
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
            command(&scan(&[]), "x.pf", &params).debug_assert();
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

    #[test]
    fn times_and_sizes() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10"), Err("without a unit, write for example 10s".into()));
        for bad in ["", "s", "1x", "0s", "-1s", "1e3s", "99999999999999999999999h", "1.2.3s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_size("1M"), Ok(1 << 20));
        assert_eq!(parse_size("8192"), Ok(8192));
        for bad in ["", "K", "1", "2G", "99999999999999999999G", "-4K", "1T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
