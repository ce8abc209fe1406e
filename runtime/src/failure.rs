//! Why a session could not run: what the machine refused, or a bug of ours that the kernel found.

use std::fmt;
use std::io;

use pfscript_grammar::Span;

use crate::kernel::features;
use crate::sys::Refused;

/// An alternative of a target that was tried, or not even tried, in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// The attach point as the script writes it.
    pub probe: String,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.probe, self.reason.text)
    }
}

/// Why an attach point is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The reason in words.
    pub text: String,
    /// Whether more privileges might change it.
    pub denied: bool,
}

impl Reason {
    /// A reason that privileges do not change.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), denied: false }
    }
}

impl From<Refused> for Reason {
    fn from(refused: Refused) -> Self {
        let denied = refused.is_denied();
        let why = if denied { format!(": {}", why_denied()) } else { String::new() };
        Self { text: format!("refused by the kernel, {refused}{why}"), denied }
    }
}

impl From<pfscript_compiler::kernel::Unavailable> for Reason {
    fn from(unavailable: pfscript_compiler::kernel::Unavailable) -> Self {
        // Where privileges would help, the text itself says so.
        Self::new(unavailable.to_string())
    }
}

/// What stands behind a denial: capabilities that are missing, or else a policy.
fn why_denied() -> String {
    match features::missing_capabilities().as_slice() {
        [] => "a policy of this machine forbids it".into(),
        missing => format!("missing {}", missing.join(" and ")),
    }
}

/// Why a session could not run.
#[derive(Debug)]
pub enum Failure {
    /// The object that the compiler wrote was not understood: a bug.
    Object(String),
    /// A map could not be made.
    Map {
        /// Its symbol.
        symbol: String,
        /// Why.
        reason: Reason,
    },
    /// How many CPUs there are cannot be learnt.
    Cpus {
        /// Where that stands.
        path: &'static str,
        /// Why it cannot be read.
        error: io::Error,
    },
    /// The kernel's verifier rejected a program: a bug.
    Rejected(Box<Rejection>),
    /// None of a target's alternatives could be attached.
    NothingToAttach {
        /// Where the target is written.
        span: Span,
        /// All alternatives, in the script's order.
        passed_over: Vec<PassedOver>,
    },
    /// The buffers that events come through could not be made.
    Buffers(Reason),
    /// `BEGIN` or `END` could not be run.
    Run {
        /// Which.
        probe: String,
        /// Why.
        reason: Reason,
    },
    /// Waiting for events, or writing what they report, failed.
    Io(io::Error),
}

/// A program that the verifier rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The attach point as the script writes it.
    pub probe: String,
    /// The place in the script that the last instruction the verifier looked at comes from.
    pub span: Span,
    /// The number of that instruction.
    pub inst: Option<usize>,
    /// What the verifier said at the end of its log.
    pub verdict: String,
    /// The whole log.
    pub log: String,
}

impl Failure {
    /// The place in the script that it is about.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Rejected(rejection) => Some(rejection.span),
            Self::NothingToAttach { span, .. } => Some(*span),
            _ => None,
        }
    }

    /// What the user can do, one sentence each.
    pub fn help(&self) -> Vec<String> {
        if self.is_bug() {
            return vec!["this is a bug in pfscript: please report it with the script and the output of -v".into()];
        }
        if let Self::Cpus { .. } = self {
            return vec!["sysfs must be mounted: mount -t sysfs none /sys".into()];
        }
        if !self.is_denied() {
            return Vec::new();
        }
        match features::missing_capabilities().as_slice() {
            [] => {
                vec!["the privileges are there: look for a policy (kernel lockdown, seccomp, a security module)".into()]
            }
            missing => vec![format!("run with sudo: {} missing", missing.join(" and "))],
        }
    }

    /// Whether it is a bug of pfscript rather than the machine's doing.
    pub fn is_bug(&self) -> bool {
        matches!(self, Self::Object(_) | Self::Rejected(_))
    }

    fn is_denied(&self) -> bool {
        match self {
            Self::Map { reason, .. } | Self::Buffers(reason) | Self::Run { reason, .. } => reason.denied,
            Self::NothingToAttach { passed_over, .. } => passed_over.iter().any(|over| over.reason.denied),
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(reason) => write!(f, "the compiled object is not understood: {reason}"),
            Self::Cpus { path, error } => write!(f, "cannot learn how many CPUs there are from {path}: {error}"),
            Self::Map { reason, .. } if reason.denied => write!(f, "tracing is not allowed here: {}", reason.text),
            Self::Map { symbol, reason } => write!(f, "cannot make the map {symbol}: {}", reason.text),
            Self::Rejected(rejection) => write!(f, "the kernel rejects {}: {}", rejection.probe, rejection.verdict),
            Self::NothingToAttach { passed_over, .. } => match passed_over.as_slice() {
                [one] => write!(f, "cannot attach {one}"),
                several => {
                    f.write_str("none of the alternatives can be attached")?;
                    several.iter().try_for_each(|over| write!(f, "\n  {over}"))
                }
            },
            Self::Buffers(reason) => write!(f, "cannot make the buffers for events: {}", reason.text),
            Self::Run { probe, reason } => write!(f, "cannot run {probe}: {}", reason.text),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::Cpus { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_passed_over_alternative_keeps_its_reason() {
        let over = |probe: &str, text: &str| PassedOver { probe: probe.into(), reason: Reason::new(text) };
        let one = Failure::NothingToAttach { span: Span::default(), passed_over: vec![over("kprobe:f", "no kprobes")] };
        assert_eq!(one.to_string(), "cannot attach kprobe:f: no kprobes");
        let passed_over = vec![over("fentry:f", "no BTF"), over("kprobe:f", "no kprobes")];
        let two = Failure::NothingToAttach { span: Span::default(), passed_over };
        let text = "none of the alternatives can be attached\n  fentry:f: no BTF\n  kprobe:f: no kprobes";
        assert_eq!(two.to_string(), text);
        assert!(two.help().is_empty(), "no privilege would help");
    }
}
