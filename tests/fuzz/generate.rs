//! Scripts that are well typed by construction: a seed gives a script, and the same kernel and
//! seed give the same one.
//!
//! Maps are declared first (in the generator, most of them not in the script), each with the
//! kinds of its keys and value; statements then use them by these. What is left to chance is only
//! what the checker alone can know: how much stack a probe needs, and whether it is too long.

use std::fmt::Write;

use pfscript_compiler::KernelInfo;
use pfscript_compiler::kernel::{FieldKind, KernelType, Signature};

use super::scope::{Kind, Map, Scope, Value};
use crate::rig::random::Random;

/// Makes one script.
pub struct Generator<'a> {
    pub random: Random,
    kernel: &'a dyn KernelInfo,
    pub maps: Vec<Map>,
    pub params: Vec<String>,
    pub scope: Scope,
    /// How many statements the present probe may still get.
    pub statements_left: usize,
    /// Names that have been given.
    pub names: usize,
}

/// The longest text that a variable holds here.
pub const TEXT_BYTES: u32 = 64;

const PLAIN_BUILTINS: &[&str] =
    &["pid", "tid", "uid", "gid", "cpu", "nsecs", "elapsed", "rand", "cgroup", "curtask", "numaid"];
const ARGUMENTS: &[&str] = &["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"];
const RAW_TRACEPOINTS: &[&str] = &["sched_switch", "sched_process_exec", "sys_enter", "sched_wakeup"];
const KERNEL_FUNCTIONS: &[&str] = &["handle_mm_fault", "vfs_read", "do_exit", "wake_up_new_task", "do_filp_open"];
const SOFTWARE_EVENTS: &[&str] = &["page-faults", "cpu-clock", "context-switches", "faults", "cs", "dummy"];
const KEYS: &[Kind] =
    &[Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Int, Kind::Text, Kind::Text, Kind::Pair, Kind::Symbol];
const AGGREGATIONS: &[&str] = &["count", "sum", "min", "max", "avg", "stats", "hist", "lhist"];

/// The script of that seed.
pub fn script(seed: u64, kernel: &dyn KernelInfo) -> String {
    let mut generator = Generator {
        random: Random::new(seed),
        kernel,
        maps: Vec::new(),
        params: Vec::new(),
        scope: Scope::default(),
        statements_left: 0,
        names: 0,
    };
    generator.script()
}

impl Generator<'_> {
    fn script(&mut self) -> String {
        let mut text = String::new();
        self.declare_params(&mut text);
        self.declare_maps(&mut text);
        for _ in 0..1 + self.random.below(4) {
            let probe = self.probe();
            text.push_str(&probe);
        }
        text + &self.writes_of_all_maps()
    }

    /// A name that no other thing has.
    pub fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn declare_params(&mut self, text: &mut String) {
        for _ in 0..self.random.below(3) {
            let name = self.fresh("p");
            let ty = self.random.pick(&["", ": uint64", ": int64", ": uint8", ": int32"]);
            let range = self.random.pick(&["", " in 1..", " in 1..=100"]);
            let default = 1 + self.random.below(100);
            let _ = writeln!(text, "param {name}{ty} = {default}{range};");
            self.params.push(name);
        }
    }

    fn declare_maps(&mut self, text: &mut String) {
        for _ in 0..1 + self.random.below(5) {
            let map = self.map();
            if !map.keys.is_empty() && self.random.percent(25) {
                let kinds = match map.value {
                    Value::Aggregate(_) => &["percpuhash"][..],
                    Value::Data(_) => &["hash", "lruhash"],
                };
                let _ = writeln!(
                    text,
                    "let @{} = {}({});",
                    map.name,
                    self.random.one_of(kinds),
                    1 << self.random.below(12)
                );
            }
            self.maps.push(map);
        }
    }

    fn map(&mut self) -> Map {
        let parts = self.random.pick(&[0, 1, 1, 1, 2, 2, 3]);
        let keys = (0..parts).map(|_| self.random.pick(KEYS)).collect();
        let value = match self.random.below(10) {
            0..6 => Value::Data(Kind::Int),
            6 => Value::Data(self.random.pick(&[Kind::Text, Kind::Pair, Kind::Symbol])),
            _ => Value::Aggregate(self.random.pick(AGGREGATIONS)),
        };
        let name = if self.maps.is_empty() && self.random.percent(20) { String::new() } else { self.fresh("m") };
        Map { name, keys, value }
    }

    fn probe(&mut self) -> String {
        self.scope = Scope { builtins: PLAIN_BUILTINS.to_vec(), has_stacks: true, ..Scope::default() };
        self.statements_left = 2 + self.random.below(14);
        let points = self.attach_points();
        let predicate = match self.random.percent(20) {
            true => format!(" /{}/", self.int(2)),
            false => String::new(),
        };
        let body = self.block(0);
        format!("{points}{predicate} {body}\n")
    }

    /// One attach point, or several of one kind: a body must make sense for all of them.
    fn attach_points(&mut self) -> String {
        match self.random.below(10) {
            0 => self.once(),
            1 | 2 => self.software(),
            3..6 => self.tracepoint(),
            6 => self.raw_tracepoint(),
            7 => self.timer(),
            8 => self.user_function(),
            _ => self.kernel_function(),
        }
    }

    fn once(&mut self) -> String {
        self.scope.has_stacks = false;
        (self.random.pick(&["BEGIN", "END", "begin", "end"])).to_owned()
    }

    fn software(&mut self) -> String {
        let kind = self.random.pick(&["software", "s"]);
        let event = self.random.pick(SOFTWARE_EVENTS);
        let point = format!("{kind}:{event}:{}", 1 + self.random.below(1000));
        match self.random.below(4) {
            0 => format!("kprobe:handle_mm_fault or {point}"),
            1 => format!("{point}, interval:s:1"),
            _ => point,
        }
    }

    /// Any of the kernel's tracepoints; its fields can be used.
    fn tracepoint(&mut self) -> String {
        let kind = self.random.pick(&["tracepoint", "t"]);
        let all = self.kernel.tracepoints();
        let found = (!all.is_empty()).then(|| self.random.one_of(&all).clone());
        let (category, name) = found.unwrap_or_else(|| ("sched".into(), "sched_switch".into()));
        let fields = self.kernel.tracepoint(&category, &name).map(|format| format.fields).unwrap_or_default();
        // A name that is a word of the language cannot be written behind `args.`.
        for field in fields.iter().filter(|field| field.offset >= 8) {
            let read = format!("args.{}", field.name);
            match field.kind {
                FieldKind::Int { .. } => self.scope.int_fields.push(read),
                FieldKind::CharArray { len } if len > TEXT_BYTES => {}
                FieldKind::CharArray { .. } | FieldKind::DataLoc => self.scope.text_fields.push(read),
                FieldKind::IntArray { len, .. } => {
                    self.scope.int_fields.push(format!("{read}[{}]", self.random.below(len as usize)));
                    self.scope.arrays.push(read);
                }
                FieldKind::Opaque { .. } => {}
            }
        }
        format!("{kind}:{category}:{name}")
    }

    fn raw_tracepoint(&mut self) -> String {
        self.scope.builtins.extend(&ARGUMENTS[..2]);
        let kind = self.random.pick(&["rawtracepoint", "rt"]);
        let name = self.random.one_of(RAW_TRACEPOINTS);
        if let Ok(signature) = self.kernel.raw_tracepoint(name) {
            self.typed_arguments(&signature);
        }
        format!("{kind}:{name}")
    }

    fn timer(&mut self) -> String {
        let kind = self.random.pick(&["interval", "i", "profile", "p"]);
        let unit = self.random.pick(&["s", "ms", "hz"]);
        format!("{kind}:{unit}:{}", 1 + self.random.below(100))
    }

    fn user_function(&mut self) -> String {
        let returns = self.random.percent(40);
        self.function_context(returns);
        format!("{}:libc:malloc", if returns { "uretprobe" } else { "uprobe" })
    }

    fn kernel_function(&mut self) -> String {
        let returns = self.random.percent(40);
        let function = *self.random.one_of(KERNEL_FUNCTIONS);
        match (self.random.below(3), self.kernel.function(function)) {
            (0, Ok(signature)) => return self.traced_function(function, returns, &signature),
            (1, Ok(_)) => {
                let kind = if returns { ["fexit", "kretprobe"] } else { ["fentry", "kprobe"] };
                return format!("{}:{function} or {}:{function}", kind[0], kind[1]);
            }
            _ => {}
        }
        self.function_context(returns);
        let kind = if returns { "kretprobe" } else { "kprobe" };
        format!("{kind}:{function}")
    }

    /// By a BPF trampoline, which knows the types of arguments.
    fn traced_function(&mut self, function: &str, returns: bool, signature: &Signature) -> String {
        self.typed_arguments(signature);
        if returns && matches!(signature.returns, KernelType::Int { .. }) {
            self.scope.builtins.push("retval");
        }
        let kind = self.random.pick(if returns { &["fexit", "fr", "kretfunc"] } else { &["fentry", "f", "kfunc"] });
        format!("{kind}:{function}")
    }

    /// Arguments by their names, and fields of what some of them point to.
    fn typed_arguments(&mut self, signature: &Signature) {
        for (name, ty) in &signature.params {
            self.typed_value(format!("args.{name}"), ty, 2);
        }
    }

    fn typed_value(&mut self, read: String, ty: &KernelType, depth: usize) {
        match ty {
            KernelType::Int { .. } => self.scope.int_fields.push(read),
            KernelType::CharArray { len } if *len <= TEXT_BYTES => self.scope.text_fields.push(read),
            KernelType::TextPointer => self.scope.text_fields.push(format!("str({read}, 16)")),
            KernelType::Array { element, len: len @ 1.., .. } if depth > 0 => {
                let index = self.random.below(*len as usize);
                self.typed_value(format!("{read}[{index}]"), element, 0);
            }
            KernelType::StructPointer(id) | KernelType::Struct(id) if depth > 0 => {
                let members = self.kernel.members(*id).unwrap_or_default();
                for _ in 0..members.len().min(4) {
                    let member = self.random.one_of(&members);
                    self.typed_value(format!("{read}.{}", member.name), &member.ty, depth - 1);
                }
            }
            _ => {}
        }
    }

    fn function_context(&mut self, returns: bool) {
        match returns {
            true => self.scope.builtins.push("retval"),
            false => self.scope.builtins.extend(ARGUMENTS),
        }
    }

    /// A map that is read somewhere has to be written somewhere, with a value whose type does not
    /// hang on the map itself.
    fn writes_of_all_maps(&mut self) -> String {
        self.scope = Scope { builtins: PLAIN_BUILTINS.to_vec(), ..Scope::default() };
        let mut writes = String::new();
        for index in 0..self.maps.len() {
            let write = match self.maps[index].value {
                Value::Data(Kind::Text) => format!("{} = comm", self.element(index, 1)),
                Value::Data(Kind::Int) => format!("{} = pid", self.element(index, 1)),
                Value::Data(Kind::Symbol) => format!("{} = usym(pid)", self.element(index, 1)),
                Value::Data(Kind::Pair) => format!("{} = (pid, comm)", self.element(index, 1)),
                Value::Aggregate(_) => self.write_map(index, 1),
            };
            writes = format!("{writes} {write};");
        }
        format!("END {{{writes} }}\n")
    }
}
