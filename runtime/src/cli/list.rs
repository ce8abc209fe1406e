//! `-l PATTERN`: the probes of this kernel.

use std::fmt::Write;

use pfscript_compiler::kernel::{FieldKind, KernelType, Signature, TracepointField};
use pfscript_compiler::{KernelInfo, glob, perf_events};

/// The probes whose full name matches `pattern`, a line each; a pattern without a colon is looked
/// for anywhere in the name. With `verbose`, each is followed by its arguments.
pub fn list(pattern: &str, kernel: &dyn KernelInfo, verbose: bool) -> String {
    let pattern = if pattern.contains(':') { pattern.to_owned() } else { format!("*{pattern}*") };
    let lister = Lister { pattern: &pattern, kernel, verbose };
    let mut out = String::new();
    lister.perf_events(&mut out);
    lister.tracepoints(&mut out);
    lister.functions(&mut out);
    out
}

struct Lister<'a> {
    pattern: &'a str,
    kernel: &'a dyn KernelInfo,
    verbose: bool,
}

impl Lister<'_> {
    /// Whether a probe of `kind` can match: else what there is of that kind is not asked for.
    fn wants(&self, kind: &str) -> bool {
        let wanted = self.pattern.split_once(':').map_or("*", |(wanted, _)| wanted);
        self.pattern.starts_with("*") || glob::matches(wanted, kind)
    }

    fn line(&self, out: &mut String, probe: &str, arguments: impl FnOnce() -> Vec<String>) {
        if !glob::matches(self.pattern, probe) {
            return;
        }
        let _ = writeln!(out, "{probe}");
        if self.verbose {
            for argument in arguments() {
                let _ = writeln!(out, "    {argument}");
            }
        }
    }

    fn perf_events(&self, out: &mut String) {
        for (kind, event) in perf_events() {
            self.line(out, &format!("{kind}:{event}"), Vec::new);
        }
    }

    fn tracepoints(&self, out: &mut String) {
        if !self.wants("tracepoint") && !self.wants("rawtracepoint") {
            return;
        }
        for (category, name) in self.kernel.tracepoints() {
            self.line(out, &format!("tracepoint:{category}:{name}"), || {
                let format = self.kernel.tracepoint(&category, &name);
                let own = |field: &&TracepointField| !field.name.starts_with("common_");
                format.map(|format| format.fields.iter().filter(own).map(field).collect()).unwrap_or_default()
            });
            if !category.starts_with("syscalls") {
                self.line(out, &format!("rawtracepoint:{name}"), || arguments(self.kernel.raw_tracepoint(&name).ok()));
            }
        }
    }

    fn functions(&self, out: &mut String) {
        for kind in ["kprobe", "kretprobe", "fentry", "fexit"] {
            if !self.wants(kind) {
                continue;
            }
            let wanted = self.pattern.split_once(':').map_or(self.pattern, |(_, function)| function);
            for function in self.kernel.functions(wanted) {
                self.line(out, &format!("{kind}:{function}"), || match kind {
                    "fentry" | "fexit" => arguments(self.kernel.function(&function).ok()),
                    _ => Vec::new(),
                });
            }
        }
    }
}

fn field(field: &TracepointField) -> String {
    let ty = match field.kind {
        FieldKind::Int { bytes, signed } => int_name(bytes, signed),
        FieldKind::CharArray { len } => format!("string[{len}]"),
        FieldKind::DataLoc => "string".to_owned(),
        FieldKind::IntArray { bytes, signed, len } => format!("{}[{len}]", int_name(bytes, signed)),
        FieldKind::Opaque { bytes } => format!("({bytes} bytes)"),
    };
    format!("{ty} {}", field.name)
}

fn arguments(signature: Option<Signature>) -> Vec<String> {
    let Some(signature) = signature else { return Vec::new() };
    let params = signature.params.iter().map(|(name, ty)| format!("{} {name}", type_name(ty)));
    let returns = (signature.returns != KernelType::Opaque { bytes: 0 })
        .then(|| format!("{} retval", type_name(&signature.returns)));
    params.chain(returns).collect()
}

fn type_name(ty: &KernelType) -> String {
    match *ty {
        KernelType::Int { bytes, signed } => int_name(bytes, signed),
        KernelType::StructPointer(_) => "struct *".to_owned(),
        KernelType::TextPointer => "char *".to_owned(),
        KernelType::Pointer => "void *".to_owned(),
        KernelType::Struct(_) => "struct".to_owned(),
        KernelType::CharArray { len } => format!("string[{len}]"),
        KernelType::Array { ref element, len, .. } => format!("{}[{len}]", type_name(element)),
        KernelType::Opaque { bytes } => format!("({bytes} bytes)"),
    }
}

fn int_name(bytes: u8, signed: bool) -> String {
    format!("{}int{}", if signed { "" } else { "u" }, u32::from(bytes) * 8)
}
