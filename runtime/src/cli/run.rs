//! From the command line to the exit code: the order in which everything happens.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use pfscript_compiler::manifest::{Manifest, MapRef};
use pfscript_compiler::params::ParamSpec;
use pfscript_compiler::{
    Alternatives, Artifact, Options, Traced, compile, declared_params, dump_bytecode, dump_ir, reference,
};
use pfscript_grammar::{Diagnostic, SourceFile, Span, ast, parse, print_ast};

use crate::cli::args::{self, Args, Mode};
use crate::cli::report;
use crate::cli::scan::{scan, spelled_out};
use crate::cli::script::{self, NoScript};
use crate::cli::status::StatusLine;
use crate::cli::{complete, explain, list, options};
use crate::command::{self, Command, NotRun};
use crate::failure::Failure;
use crate::kernel::Kernel;
use crate::output::flame_graph::FlameGraph;
use crate::output::folded::has_stacks;
use crate::output::{Destination, FormName, Output, Remark, Remarks, Verbosity};
use crate::privileges::Needs;
use crate::session::{self, Settings};
use crate::sys::page_size;
use crate::top;

/// The exit codes; `exit(N)` in a script gives N.
const DONE: u8 = 0;
const WRONG_SCRIPT: u8 = 1;
const WRONG_COMMAND_LINE: u8 = 2;
const WRONG_MACHINE: u8 = 3;

/// Why nothing more is done.
enum Stop {
    /// The command line is wrong, or asked for help or version only.
    CommandLine(Box<clap::Error>),
    /// A code that there is not.
    NoCode(String),
    /// What cannot be shown live.
    NoTop(String),
    /// There is no script.
    NoScript(NoScript),
    /// Folded stacks are asked for of a script, named here, that has none.
    NoStacks(String),
    /// The script is wrong.
    Script(Box<SourceFile>, Vec<Diagnostic>),
    /// A command or a process to be traced is not to be had.
    NotRun(NotRun),
    /// The machine will not do it.
    Machine(Box<SourceFile>, Failure),
    /// A file cannot be opened.
    Unopened(io::Error),
    /// A file cannot be written.
    Unwritten(io::Error),
}

/// Does what `words` (the command line without the program's own name) ask for and gives the exit
/// code. What is wrong has been said on stderr.
pub fn run(words: &[OsString]) -> u8 {
    if let Some(shell) = std::env::var_os(complete::ASKED_BY) {
        return answer(&shell, words).unwrap_or(WRONG_COMMAND_LINE);
    }
    attempt(words).unwrap_or_else(|stop| stop.report())
}

/// Tells a shell what may stand on its command line; says nothing else, for there is a line being
/// written.
fn answer(shell: &OsStr, words: &[OsString]) -> io::Result<u8> {
    let answer = complete::answer(shell, words)?;
    Destination::stdout()?.write_all(&answer)?;
    Ok(DONE)
}

fn attempt(words: &[OsString]) -> Result<u8, Stop> {
    let words = &spelled_out(words);
    let scan = scan(words);
    let source = script::read(&scan.script).map_err(Stop::NoScript)?;
    let (script, params) = or_wrong(&source, read_params(&source))?;
    let args = args::parse(words, &scan, source.name(), &params).map_err(Stop::CommandLine)?;
    let command = args
        .command
        .as_deref()
        .filter(|_| args.mode == Mode::Run)
        .map(|text| Command::prepare(text, args.top.is_some()))
        .transpose();
    let command = command.map_err(Stop::NotRun)?;
    let options = options(&args, command.as_ref());
    match &args.mode {
        Mode::List(pattern) => print(&list::list(pattern, &Kernel::new(), args.verbosity == Verbosity::Verbose)),
        Mode::ListScripts => print(&script::list()),
        Mode::Explain(None) => print(&explain::list()),
        Mode::Explain(Some(code)) => print(&explain::explain(code).map_err(Stop::NoCode)?),
        Mode::Reference => print(&reference()),
        Mode::Completions(shell) => print(&complete::snippet(shell).map_err(Stop::Unwritten)?),
        Mode::DumpAst => print(&print_ast(&script, &source)),
        Mode::DumpIr(pass) => {
            let ir = dump_ir(&script, &Kernel::new(), &options, Some(pass));
            print(&or_wrong(&source, ir)?)
        }
        mode => {
            let kernel = Kernel::new();
            let artifact = or_wrong(&source, compile(&source, &script, &kernel, &options))?;
            warn(&source, &artifact, &args);
            match mode {
                Mode::DumpBytecode => print(&dump_bytecode(&artifact, &source)),
                Mode::EmitObj(file) => write_object(&artifact, file),
                Mode::Run => trace(&source, &artifact, &kernel, &args, command.as_ref()),
                _ => Ok(DONE),
            }
        }
    }
}

/// The script's tree and its parameters, none of which may be called as an option.
fn read_params(source: &SourceFile) -> Result<(ast::Script, Vec<ParamSpec>), Vec<Diagnostic>> {
    let script = parse(source)?;
    let params = declared_params(&script)?;
    match options::clashing(&params) {
        Some(param) => Err(vec![clash(&script, param)]),
        None => Ok((script, params)),
    }
}

fn clash(script: &ast::Script, param: &ParamSpec) -> Diagnostic {
    let declared = script.items.iter().find_map(|item| match item {
        ast::Item::Param(declared) if declared.name.name == param.name => Some(declared.name.span),
        _ => None,
    });
    let message = format!("the parameter {} has the name of an option of pfscript", param.name);
    Diagnostic::error(explain::PARAM_CLASH, declared.unwrap_or(Span::new(0, 0)), message)
        .help(format!("call it something else: --{} already has a meaning", param.name.replace('_', "-")))
}

fn options(args: &Args, command: Option<&Command>) -> Options {
    // Any loader can load an object that holds one alternative each; pfscript's own tries them all.
    let alternatives = if let Mode::EmitObj(_) = args.mode { Alternatives::FirstOffered } else { Alternatives::All };
    let traced = match &args.command {
        // Where nothing runs, no process has this number.
        Some(_) => Traced::Command(command.map_or(0, Command::pid)),
        None if args.pids.is_empty() => Traced::All,
        None => Traced::Processes(args.pids.clone()),
    };
    Options { params: args.params.clone(), positional: args.positional.clone(), traced, alternatives }
}

/// Says what is legal in the script but surely not meant.
fn warn(source: &SourceFile, artifact: &Artifact, args: &Args) {
    if args.verbosity > Verbosity::Quiet && !artifact.warnings.is_empty() {
        report::diagnostics(source, &artifact.warnings);
    }
    if args.verbosity == Verbosity::Verbose {
        artifact.manifest.notes.iter().for_each(|note| report::note(note));
    }
}

fn trace(
    source: &SourceFile,
    artifact: &Artifact,
    kernel: &Kernel,
    args: &Args,
    command: Option<&Command>,
) -> Result<u8, Stop> {
    let manifest = &artifact.manifest;
    let folds = args.form == FormName::Folded || args.flamegraph.is_some();
    if folds && !manifest.maps.iter().any(has_stacks) {
        return Err(Stop::NoStacks(source.name().to_owned()));
    }
    let shown = args.top.as_ref().map(|name| shown(manifest, name)).transpose().map_err(Stop::NoTop)?;
    let to = match (&args.output, shown) {
        (None, Some(_)) => destination(Some(&PathBuf::from("/dev/null")))?,
        (output, _) => destination(output.as_ref())?,
    };
    let duplicate = to.duplicate().map_err(Stop::Unopened)?;
    let picture = args.flamegraph.as_ref().map(|file| Destination::file(file)).transpose().map_err(Stop::Unopened)?;
    let picture = picture.map(|to| FlameGraph::new(manifest, to, source.name()));
    let mut output = Output::new(manifest, args.form, to, remarks(source, args.verbosity)).with_picture(picture);
    let until = match command {
        Some(command) => Some(command.until_ended()),
        None if args.pids.is_empty() => None,
        None => Some(command::until_all_ended(&args.pids).map_err(Stop::NotRun)?),
    };
    let mut settings = Settings {
        duration: args.duration,
        max_events: args.max_events,
        buffer_pages: args.buffer_size.map(|bytes| bytes.div_ceil(page_size())),
        output: duplicate,
        needs: Some(Needs::of(manifest, command.is_some())),
        until,
    };
    let ended = match shown {
        None => session::run(artifact, kernel, settings, &mut output),
        Some(map) => {
            let (mut top, until) = top::live(manifest, map, !report::no_color(), &mut output, settings.until.take());
            settings.until = Some(until);
            session::run(artifact, kernel, settings, &mut top)
        }
    };
    let code_of_command = command.and_then(Command::end);
    let code = ended.map_err(|failure| Stop::Machine(Box::new(source.clone()), failure))?;
    output.finish().map_err(Stop::Unwritten)?;
    // Ctrl-C ends a command too, and then its code is ours all the same.
    let code = if code == 0 { code_of_command.unwrap_or(code) } else { code };
    // The kernel's convention: of an exit code eight bits are seen.
    Ok(code as u8)
}

/// The map that `--top` shows, if there is a screen to show it on.
fn shown(manifest: &Manifest, name: &str) -> Result<MapRef, String> {
    if !io::stdout().is_terminal() {
        return Err("--top needs a terminal to draw on; data goes to a file with -o".to_owned());
    }
    top::choose(manifest, name)
}

/// Remarks on stderr: the script's own and warnings always, notes with `-v`, everything else without `-q`.
fn remarks(source: &SourceFile, verbosity: Verbosity) -> Remarks {
    let (source, mut status) = (source.clone(), StatusLine::new(verbosity > Verbosity::Quiet));
    Box::new(move |remark, text| match remark {
        Remark::Waiting => status.show(text),
        Remark::Data => status.erase(),
        Remark::Script { is_error, span } => {
            status.erase();
            report::of_script(&source, span, is_error, text);
        }
        Remark::Warning => {
            status.erase();
            report::warning(text);
        }
        Remark::Summary if verbosity > Verbosity::Quiet => report::text(text),
        Remark::Note if verbosity == Verbosity::Verbose => report::note(text),
        Remark::Summary | Remark::Note => {}
    })
}

fn destination(output: Option<&PathBuf>) -> Result<Destination, Stop> {
    output.map_or_else(Destination::stdout, |path| Destination::file(path)).map_err(Stop::Unopened)
}

fn write_object(artifact: &Artifact, file: &Path) -> Result<u8, Stop> {
    let to_stdout = file.as_os_str() == "-";
    let mut to = destination(Some(&file.to_owned()).filter(|_| !to_stdout))?;
    finish(to.write_all(&artifact.object))
}

/// Prints what was asked for.
fn print(text: &str) -> Result<u8, Stop> {
    finish(Destination::stdout().and_then(|mut stdout| stdout.write_all(text.as_bytes())))
}

/// A reader that has seen enough is no failure.
fn finish(written: io::Result<()>) -> Result<u8, Stop> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::Unwritten(error)),
        _ => Ok(DONE),
    }
}

fn or_wrong<T>(source: &SourceFile, result: Result<T, Vec<Diagnostic>>) -> Result<T, Stop> {
    result.map_err(|diagnostics| Stop::Script(Box::new(source.clone()), diagnostics))
}

impl Stop {
    /// Says why and gives the exit code.
    fn report(self) -> u8 {
        match self {
            Self::CommandLine(error) => {
                // Help goes to stdout, where a closed pipe is no failure.
                let printed = error.print().and_then(|()| io::stdout().flush());
                match printed {
                    Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
                        said(&format!("cannot write to standard output: {why}"), &[], WRONG_MACHINE)
                    }
                    _ if error.exit_code() == 0 => DONE,
                    _ => WRONG_COMMAND_LINE,
                }
            }
            Self::NoCode(message) | Self::NoTop(message) => said(&message, &[], WRONG_COMMAND_LINE),
            Self::NoScript(NoScript::Unreadable { message, help }) => said(&message, &help, WRONG_COMMAND_LINE),
            Self::NoScript(NoScript::Unusable(message)) => said(&message, &[], WRONG_SCRIPT),
            Self::NoStacks(name) => {
                let message = format!("{name} has no map keyed by stacks, which is what is folded and drawn");
                let help = "count by stack, as in @faults[comm, ustack, kstack] = count(), or see faults-by-stack";
                said(&message, &[help.to_owned()], WRONG_COMMAND_LINE)
            }
            Self::Script(source, diagnostics) => {
                report::diagnostics(&source, &diagnostics);
                WRONG_SCRIPT
            }
            Self::NotRun(not) => said(&not.message, &[], not.code),
            Self::Machine(source, failure) => refused(&source, &failure),
            Self::Unopened(error) => said(&error.to_string(), &[], WRONG_COMMAND_LINE),
            Self::Unwritten(error) => said(&error.to_string(), &[], WRONG_MACHINE),
        }
    }
}

fn said(message: &str, help: &[String], code: u8) -> u8 {
    report::error(message, help);
    code
}

/// What the machine refused, beside the script's line if it is about one.
fn refused(source: &SourceFile, failure: &Failure) -> u8 {
    match failure.span() {
        Some(span) => report::failure(source, span, &failure.to_string(), &failure.help()),
        None => report::error(&failure.to_string(), &failure.help()),
    }
    WRONG_MACHINE
}
