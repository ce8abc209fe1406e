//! What goes into a compilation beside the script, and what comes out.

use pfscript_grammar::Diagnostic;

use crate::manifest::Manifest;
use crate::params::ParamValue;

/// Which alternatives of `A or B or C` go into the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alternatives {
    /// All of them: the loader tries each in turn.
    #[default]
    All,
    /// Of each `or` only the first that [`KernelInfo::offers`](crate::KernelInfo::offers) vouches
    /// for (the last when it vouches for none), so that any loader can load all of the object.
    FirstOffered,
}

/// The processes that the script's probes run for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Traced {
    /// All of the system's.
    #[default]
    All,
    /// Those with these numbers; at least one.
    Processes(Vec<u32>),
    /// The one with this number and all that it starts.
    Command(u32),
}

/// The inputs of a compilation beside the script and the kernel.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Values given for script parameters, by the parameter's name.
    pub params: Vec<(String, ParamValue)>,
    /// What `$1`, `$2`, ... stand for.
    pub positional: Vec<String>,
    /// Whom the script sees.
    pub traced: Traced,
    /// Which alternatives to keep.
    pub alternatives: Alternatives,
}

/// The result of a compilation.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// A standard eBPF ELF object.
    pub object: Vec<u8>,
    /// What the runtime has to know about the object.
    pub manifest: Manifest,
    /// What is legal but surely not meant.
    pub warnings: Vec<Diagnostic>,
}
