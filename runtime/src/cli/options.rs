//! The options, a row each: the tool's own and, beside them, the script's parameters. With
//! `args` the only file that knows clap.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgGroup, Command, value_parser};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use pfscript_compiler::params::{ParamSpec, ParamType, ParamValue};
use pfscript_compiler::pass_names;

use crate::cli::complete::{Scripts, shells};
use crate::cli::explain::codes;
use crate::cli::values::{parse_duration, parse_size};

const USAGE: &str = "pfscript [OPTIONS] [SCRIPT] [--PARAM VALUE]... [ARG]...
       pfscript [OPTIONS] -e PROGRAM [--PARAM VALUE]... [ARG]...";
/// What stands below the options in the help.
pub const EXAMPLES: &str = "\
Examples:
  sudo pfscript                                report processes by page faults (built-in pagefault)
  sudo pfscript pagefault --log_step 70        the same, every 70 faults
  sudo pfscript script.pf -f json -o out.json  run a script, events as JSON lines
  pfscript script.pf --help                    show a script's own parameters
  pfscript script.pf --check                   only say what is wrong with it";

/// The tool's options: a row each.
pub fn options() -> Vec<Arg> {
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
            .value_parser(PossibleValuesParser::new(["table", "json", "csv", "folded"])),
        value("output", "FILE", "Write data to FILE, made new or emptied")
            .short('o')
            .value_parser(value_parser!(PathBuf)),
        value("top", "@MAP", "Show a map live, the fastest growing first; the script's first if none is named")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(""),
        value("flamegraph", "FILE", "Draw maps keyed by stacks as a flame graph (SVG), instead of printing them")
            .value_parser(value_parser!(PathBuf)),
        value("command", "COMMAND", "Run COMMAND, trace it and what it starts, and exit as it does")
            .short('c')
            .allow_hyphen_values(true)
            .conflicts_with("pid"),
        value("pid", "PID", "Trace these processes only, until they have ended")
            .short('p')
            .action(ArgAction::Append)
            .value_delimiter(',')
            .value_parser(value_parser!(u32).range(1..=i64::from(i32::MAX))),
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
            .default_missing_value("")
            .add(ArgValueCandidates::new(|| codes().map(CompletionCandidate::new).collect())),
        flag("reference", "Name the probes, builtins and functions of the language"),
        value("completions", "SHELL", "Print what makes SHELL complete pfscript's command lines")
            .value_parser(PossibleValuesParser::new(shells())),
        Arg::new("help")
            .long("help")
            .short('h')
            .action(ArgAction::Help)
            .help("Show this help, with the script's parameters"),
        Arg::new("version").long("version").short('V').action(ArgAction::Version).help("Show the version"),
    ]
}

/// The options that exclude one another: what is done with the script.
const MODES: [&str; 11] = [
    "top",
    "check",
    "dump-ast",
    "dump-ir",
    "dump-bytecode",
    "emit-obj",
    "list",
    "list-scripts",
    "reference",
    "explain",
    "completions",
];

/// A parameter that has the name of one of the tool's options, if there is one.
pub fn clashing(params: &[ParamSpec]) -> Option<&ParamSpec> {
    let options = options();
    let long = |param: &ParamSpec| param.name.replace('_', "-");
    params.iter().find(|param| options.iter().any(|option| option.get_long() == Some(long(param).as_str())))
}

/// The whole command line of the script called `title`; `has_program` when `-e` gave it.
pub fn command(has_program: bool, title: &str, params: &[ParamSpec]) -> Command {
    let mut command = Command::new("pfscript")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Run a tracing script: compile it to eBPF, load it, print what it reports")
        .override_usage(USAGE)
        .after_help(EXAMPLES)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(options())
        .group(ArgGroup::new("mode").args(MODES));
    if !has_program {
        let help = "A file, - for standard input, or a built-in script [default: pagefault]";
        let script = Arg::new("script").value_name("SCRIPT").value_parser(value_parser!(OsString)).help(help);
        command = command.arg(script.add(ArgValueCompleter::new(Scripts)));
    }
    let positional = Arg::new("args").value_name("ARG").num_args(0..).allow_negative_numbers(true);
    command = command.arg(positional.help("What $1, $2, ... stand for in the script"));
    command.next_help_heading(format!("Parameters of {title}")).args(params.iter().map(param_option))
}

/// The identifier of a parameter's option: never that of one of the tool's own.
pub fn param_id(param: &ParamSpec) -> String {
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
            "completions",
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
