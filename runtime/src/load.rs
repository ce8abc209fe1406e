//! Artifact -> maps and programs in the kernel.
//!
//! The object is the one truth: it is parsed back, its maps are made, its references to them
//! filled in, and a program is found in it by its symbol. Nothing is attached here, and all of it
//! goes away with the descriptors.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya::maps::{MapData, MapError};
use aya_obj::btf::BtfFeatures;
use aya_obj::generated::{BPF_F_MMAPABLE, bpf_attach_type, bpf_prog_type};
use aya_obj::maps::Map;
use aya_obj::{Function, Object};
use pfscript_compiler::Artifact;
use pfscript_compiler::manifest::{
    AttachSpec, COUNTERS_SECTION, EVENTS_MAP, MapRef, Program, STAGE_MAP, Target, stacks_map,
};

use crate::attach;
use crate::failure::{Failure, PassedOver, Reason, Rejection};
use crate::kernel::Kernel;
use crate::sys::bpf::{self, DebugInfo, ProgramImage};
use crate::sys::{Call, Refused};

/// The map as it is made: the counters so that they can be read as memory.
fn mappable(symbol: &str, map: &Map) -> Map {
    let mut map = map.clone();
    if let (COUNTERS_SECTION, Map::Legacy(counters)) = (symbol, &mut map) {
        counters.def.map_flags |= BPF_F_MMAPABLE;
    }
    map
}

/// Bytes of verifier log asked for when a program was refused.
const LOG_SIZE: usize = 1 << 20;
/// All that BTF can say; every kernel supported here (6.1 and newer) knows it.
const BTF_FEATURES: BtfFeatures = BtfFeatures::new(true, true, true, true, true, true, true, true);

/// An object whose maps are in the kernel, ready to load its programs.
pub struct Loader<'a> {
    artifact: &'a Artifact,
    kernel: &'a Kernel,
    object: Object,
    btf: Option<OwnedFd>,
    maps: HashMap<String, MapData>,
    notes: Vec<String>,
}

/// A program in the kernel.
#[derive(Debug)]
pub struct LoadedProgram<'a> {
    /// What it is.
    pub program: &'a Program,
    fd: OwnedFd,
}

impl AsFd for LoadedProgram<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A target with the first of its alternatives that could be loaded.
#[derive(Debug)]
pub struct LoadedTarget<'a> {
    /// The target.
    pub target: &'a Target,
    /// The loaded alternative.
    pub program: LoadedProgram<'a>,
    /// The alternatives before it.
    pub passed_over: Vec<PassedOver>,
}

/// Why a program was not loaded.
enum NotLoaded {
    /// This kernel does not have it: try the next alternative.
    Unavailable(Reason),
    /// The verifier rejected it.
    Rejected(Box<Rejection>),
}

impl<'a> Loader<'a> {
    /// Parses the object and makes its maps.
    ///
    /// # Errors
    /// The object is damaged (a bug), or the kernel refuses a map.
    pub fn new(artifact: &'a Artifact, kernel: &'a Kernel) -> Result<Self, Failure> {
        let object = Object::parse(&artifact.object).map_err(|error| Failure::Object(error_chain(&error)))?;
        let mut loader = Self { artifact, kernel, object, btf: None, maps: HashMap::new(), notes: Vec::new() };
        loader.load_btf();
        loader.create_maps()?;
        loader.relocate()?;
        Ok(loader)
    }

    /// Remarks for `-v` on what went otherwise than planned.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The array through which programs send records, if any does.
    pub fn events(&self) -> Option<&MapData> {
        self.maps.get(EVENTS_MAP)
    }

    /// The maps with the stacks, and how deep those are.
    pub fn stacks(&self) -> Vec<(u32, &MapData)> {
        let map = |&depth: &u32| Some((depth, self.maps.get(&stacks_map(depth))?));
        self.artifact.manifest.stack_depths.iter().filter_map(map).collect()
    }

    /// The array with each CPU's stage, and the program that sends what is there, if programs stage
    /// records and this kernel takes that program: without it nothing is ever staged.
    pub fn stage(&self) -> Option<(&MapData, LoadedProgram<'a>)> {
        let map = self.maps.get(STAGE_MAP)?;
        let program = self.load(self.artifact.manifest.flush.as_ref()?).ok()?;
        Some((map, program))
    }

    /// The map with the counters and the start of tracing, if there is one.
    pub fn counters(&self) -> Option<&MapData> {
        self.maps.get(COUNTERS_SECTION)
    }

    /// The script's map `map`.
    pub fn map(&self, map: MapRef) -> Option<&MapData> {
        self.maps.get(&self.artifact.manifest.maps.get(map.0 as usize)?.symbol)
    }

    /// Loads the first alternative of `target`, from number `from` on, that the kernel takes.
    ///
    /// # Errors
    /// No alternative is left, or the verifier rejected one (a bug, which a later alternative
    /// would only hide).
    pub fn load_target(
        &self,
        target: &'a Target,
        mut passed_over: Vec<PassedOver>,
    ) -> Result<LoadedTarget<'a>, Failure> {
        for program in &target.alternatives[passed_over.len().min(target.alternatives.len())..] {
            match self.load(program) {
                Ok(program) => return Ok(LoadedTarget { target, program, passed_over }),
                Err(NotLoaded::Unavailable(reason)) => {
                    passed_over.push(PassedOver { probe: program.probe.clone(), reason });
                }
                Err(NotLoaded::Rejected(rejection)) => return Err(Failure::Rejected(rejection)),
            }
        }
        Err(Failure::NothingToAttach { span: target.span, passed_over })
    }

    /// Loads the object's BTF: names and lines are welcome, but nothing depends on them.
    fn load_btf(&mut self) {
        let bytes = match self.object.fixup_and_sanitize_btf(&BTF_FEATURES) {
            Ok(Some(btf)) => btf.to_bytes(),
            Ok(None) => return,
            Err(error) => return self.notes.push(format!("loaded without BTF: {error}")),
        };
        match bpf::load_btf(&bytes) {
            Ok(fd) => self.btf = Some(fd),
            Err(refused) => self.notes.push(format!("loaded without BTF: {refused}")),
        }
    }

    fn create_maps(&mut self) -> Result<(), Failure> {
        for (symbol, map) in &self.object.maps {
            let btf = self.btf.as_ref().map(AsFd::as_fd);
            let data =
                MapData::create(mappable(symbol, map), symbol, btf).map_err(|error| match aya::util::nr_cpus() {
                    Err((path, error)) => Failure::Cpus { path, error },
                    Ok(_) => Failure::Map { symbol: symbol.clone(), reason: map_reason(&error) },
                })?;
            self.maps.insert(symbol.clone(), data);
        }
        Ok(())
    }

    /// Writes the maps' descriptors into the instructions, and puts the functions that a program
    /// refers to behind it.
    fn relocate(&mut self) -> Result<(), Failure> {
        let definitions = self.object.maps.clone();
        let references = definitions
            .iter()
            .filter_map(|(symbol, map)| Some((symbol.as_str(), self.maps.get(symbol)?.fd().as_fd().as_raw_fd(), map)));
        let of_code: HashSet<usize> = self.object.functions.keys().map(|&(section, _)| section).collect();
        let relocated = self.object.relocate_maps(references, &of_code);
        let linked = relocated.and_then(|()| self.object.relocate_calls(&of_code));
        linked.map_err(|error| Failure::Object(error_chain(&error)))
    }

    fn load(&self, program: &'a Program) -> Result<LoadedProgram<'a>, NotLoaded> {
        let attach_btf_id = attach::prerequisite(&program.attach, self.kernel).map_err(NotLoaded::Unavailable)?;
        let function = self.function(program)?;
        let image = self.image(program, function, attach_btf_id);
        let fd = bpf::load_program(&image, None).map_err(|refused| explain_refusal(&image, program, refused))?;
        Ok(LoadedProgram { program, fd })
    }

    fn function(&self, program: &Program) -> Result<&Function, NotLoaded> {
        let found = self.object.programs.get(&program.symbol);
        let function = found.and_then(|entry| self.object.functions.get(&entry.function_key()));
        function.ok_or_else(|| {
            let verdict = format!("the object has no program {}", program.symbol);
            NotLoaded::Rejected(Box::new(Rejection {
                probe: program.probe.clone(),
                span: program.span,
                inst: None,
                verdict,
                log: String::new(),
            }))
        })
    }

    fn image<'b>(&'b self, program: &'b Program, function: &'b Function, attach_btf_id: u32) -> ProgramImage<'b> {
        let (prog_type, expected_attach_type) = program_type(&program.attach);
        let debug = self.btf.as_ref().map(|btf| DebugInfo {
            btf: btf.as_fd(),
            funcs: &function.func_info.func_info,
            lines: &function.line_info.line_info,
        });
        ProgramImage {
            name: &program.symbol,
            prog_type,
            expected_attach_type,
            attach_btf_id,
            insns: &function.instructions,
            license: &self.object.license,
            // Without functions the kernel takes no lines.
            debug: debug.filter(|debug| !debug.funcs.is_empty()),
        }
    }
}

/// The kernel's type of a program, and for tracing programs where it attaches.
fn program_type(attach: &AttachSpec) -> (bpf_prog_type, Option<bpf_attach_type>) {
    match attach {
        AttachSpec::Begin | AttachSpec::End | AttachSpec::RawTracepoint { .. } => {
            (bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, None)
        }
        AttachSpec::Kprobe { .. } | AttachSpec::Uprobe { .. } => (bpf_prog_type::BPF_PROG_TYPE_KPROBE, None),
        AttachSpec::Fentry { exit: false, .. } => {
            (bpf_prog_type::BPF_PROG_TYPE_TRACING, Some(bpf_attach_type::BPF_TRACE_FENTRY))
        }
        AttachSpec::Fentry { exit: true, .. } => {
            (bpf_prog_type::BPF_PROG_TYPE_TRACING, Some(bpf_attach_type::BPF_TRACE_FEXIT))
        }
        AttachSpec::Tracepoint { .. } => (bpf_prog_type::BPF_PROG_TYPE_TRACEPOINT, None),
        AttachSpec::Software { .. }
        | AttachSpec::Hardware { .. }
        | AttachSpec::Interval { .. }
        | AttachSpec::Profile { .. } => (bpf_prog_type::BPF_PROG_TYPE_PERF_EVENT, None),
    }
}

/// Tries once more with a log: a verdict about an instruction is the verifier's, all else is a
/// kernel that does not have or does not allow such a program.
fn explain_refusal(image: &ProgramImage<'_>, program: &Program, refused: Refused) -> NotLoaded {
    let mut buffer = vec![0; LOG_SIZE];
    // The outcome is known; only the log is of interest.
    drop(bpf::load_program(image, Some(&mut buffer)));
    let end = buffer.iter().position(|&byte| byte == 0).unwrap_or(buffer.len());
    let log = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let Some(inst) = last_inst(&log) else { return NotLoaded::Unavailable(refusal_reason(refused, &log)) };
    NotLoaded::Rejected(Box::new(Rejection {
        probe: program.probe.clone(),
        span: program.inst_spans.get(inst).copied().unwrap_or(program.span),
        inst: Some(inst),
        verdict: verdict(&log).unwrap_or_else(|| refused.to_string()),
        log,
    }))
}

/// The number of the last instruction that a verifier log shows: `12: (85) call ...`.
fn last_inst(log: &str) -> Option<usize> {
    let number = |line: &str| {
        let (number, rest) = line.split_once(": ")?;
        rest.starts_with('(').then(|| number.parse().ok())?
    };
    log.lines().rev().find_map(number)
}

/// The last line of a verifier log that says something: not the statistics at its very end.
fn verdict(log: &str) -> Option<String> {
    let says =
        |line: &&str| !line.is_empty() && !line.starts_with("processed ") && !line.starts_with("verification time");
    log.lines().rev().find(says).map(String::from)
}

fn refusal_reason(refused: Refused, log: &str) -> Reason {
    let mut reason = Reason::from(refused);
    if let Some(verdict) = verdict(log) {
        reason.text = format!("{} ({verdict})", reason.text);
    }
    reason
}

fn map_reason(error: &MapError) -> Reason {
    match error {
        MapError::CreateError { io_error, .. } => {
            let errno = io_error.raw_os_error().unwrap_or(libc::EIO);
            Reason::from(Refused { call: Call::MapCreate, errno })
        }
        other => Reason::new(error_chain(other)),
    }
}

/// An error and its causes in one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "0: R1=ctx() R10=fp0\n; @faults[pid]++;\n0: (b7) r0 = 0\n1: (79) r1 = *(u64 *)(r2 +0)\n\
        R2 !read_ok\nprocessed 2 insns (limit 1000000) max_states_per_insn 0\n\n";

    #[test]
    fn a_verifier_log_leads_to_the_instruction() {
        assert_eq!(last_inst(LOG), Some(1));
        assert_eq!(verdict(LOG).as_deref(), Some("R2 !read_ok"));
    }

    #[test]
    fn a_refusal_without_instructions_is_no_rejection() {
        let log = "attach_btf_id 5 is not a function\nprocessed 0 insns (limit 1000000)\n";
        assert_eq!(last_inst(log), None);
        assert_eq!(verdict(log).as_deref(), Some("attach_btf_id 5 is not a function"));
        assert_eq!(verdict(""), None);
    }
}
