//! A reader of the kernel's own BTF: which functions and tracepoints there are, and how a
//! tracepoint's record is laid out.
//!
//! Nothing is indexed beforehand: a question is one walk over the types, about a millisecond.
//! Damaged BTF gives fewer answers, never a panic: every access is checked.

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read;
use std::ops::Range;

use pfscript_compiler::kernel::{FieldKind, TracepointField};

use super::c_types::Definitions;
use crate::sys::memory::MappedFile;

/// Where the kernel shows its BTF to everybody.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
/// Longest chain of typedefs and qualifiers that is followed.
const MAX_CHAIN: usize = 32;
/// What precedes a class's name in the structure of its record.
const RAW_EVENT: &str = "trace_event_raw_";
/// What precedes an event's name in the typedef of its arguments.
pub(super) const EVENT_ARGS: &str = "btf_trace_";
/// What precedes a class's name in the function that calls BPF programs.
pub(super) const CLASS_CALLER: &str = "__bpf_trace_";

/// `BTF_KIND_*`
pub(super) mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

#[derive(Debug)]
enum Bytes {
    Mapped(MappedFile),
    Owned(Vec<u8>),
}

/// BTF, ready to be asked.
#[derive(Debug)]
pub struct Btf {
    bytes: Bytes,
    types: Range<usize>,
    strings: Range<usize>,
    /// Offset of each type, from id 1; made when a type is first asked for by id.
    offsets: OnceCell<Vec<u32>>,
    /// What is only declared here and there, with its definition.
    pub(super) definitions: OnceCell<Definitions>,
}

/// One type: the header's three words and what follows it.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    pub name_off: u32,
    info: u32,
    pub size_or_type: u32,
    pub rest: &'a [u8],
}

impl Type<'_> {
    pub fn kind(&self) -> u32 {
        self.info >> 24 & 0x1f
    }

    /// Meaning depends on the kind: bit fields in a structure, signed values of an enumeration.
    pub fn flag(&self) -> bool {
        self.info >> 31 == 1
    }

    pub fn word(&self, index: usize) -> Option<u32> {
        word(self.rest, index * 4)
    }

    /// Groups of `N` words after the header: members, parameters.
    pub fn groups<const N: usize>(&self) -> impl Iterator<Item = [u32; N]> {
        self.rest.chunks_exact(N * 4).map(|group| std::array::from_fn(|at| word(group, at * 4).unwrap_or(0)))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    four.try_into().ok().map(u32::from_ne_bytes)
}

/// Bytes that follow the header of a type; none for a kind that is not known here.
fn rest_len(info: u32) -> Option<usize> {
    let vlen = (info & 0xffff) as usize;
    Some(match info >> 24 & 0x1f {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * vlen,
        kind::ENUM | kind::FUNC_PROTO => 8 * vlen,
        2 | 7..=12 | kind::FLOAT | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

impl Btf {
    /// The running kernel's BTF.
    ///
    /// # Errors
    /// Why there is none to be read.
    pub fn of_kernel() -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("{KERNEL_BTF}: {error}");
        let mut file = File::open(KERNEL_BTF).map_err(unreadable)?;
        let len = file.metadata().map_err(unreadable)?.len() as usize;
        let bytes = match MappedFile::new(&file, len) {
            Ok(mapped) => Bytes::Mapped(mapped),
            Err(_) => {
                let mut owned = Vec::with_capacity(len);
                file.read_to_end(&mut owned).map_err(unreadable)?;
                Bytes::Owned(owned)
            }
        };
        Self::new(bytes).ok_or_else(|| format!("{KERNEL_BTF} is damaged"))
    }

    /// BTF from memory; `None` when it is none.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        Self::new(Bytes::Owned(bytes))
    }

    fn new(bytes: Bytes) -> Option<Self> {
        let data = match &bytes {
            Bytes::Mapped(file) => file.bytes(),
            Bytes::Owned(owned) => owned,
        };
        let magic = u16::from_ne_bytes(data.get(..2)?.try_into().ok()?);
        let header_len = word(data, 4)? as usize;
        let section = |off: usize| -> Option<Range<usize>> {
            let start = header_len.checked_add(word(data, off)? as usize)?;
            let end = start.checked_add(word(data, off + 4)? as usize)?;
            (end <= data.len()).then_some(start..end)
        };
        let (types, strings) = (section(8)?, section(16)?);
        (magic == MAGIC).then_some(Self {
            bytes,
            types,
            strings,
            offsets: OnceCell::new(),
            definitions: OnceCell::new(),
        })
    }

    fn data(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(file) => file.bytes(),
            Bytes::Owned(owned) => owned,
        }
    }

    fn type_at(&self, offset: usize) -> Option<Type<'_>> {
        let types = &self.data()[self.types.clone()];
        let info = word(types, offset + 4)?;
        let rest = types.get(offset + 12..(offset + 12).checked_add(rest_len(info)?)?)?;
        Some(Type { name_off: word(types, offset)?, info, size_or_type: word(types, offset + 8)?, rest })
    }

    /// All types with their ids and offsets.
    pub(super) fn walk(&self) -> impl Iterator<Item = (u32, u32, Type<'_>)> {
        let mut offset = 0;
        (1_u32..).map_while(move |id| {
            let ty = self.type_at(offset)?;
            let at = offset as u32;
            offset += 12 + ty.rest.len();
            Some((id, at, ty))
        })
    }

    pub(super) fn by_id(&self, id: u32) -> Option<Type<'_>> {
        let offsets = self.offsets.get_or_init(|| self.walk().map(|(_, offset, _)| offset).collect());
        self.type_at(*offsets.get((id as usize).checked_sub(1)?)? as usize)
    }

    pub(super) fn name_bytes(&self, name_off: u32) -> &[u8] {
        let strings = &self.data()[self.strings.clone()];
        let tail = strings.get(name_off as usize..).unwrap_or(&[]);
        &tail[..tail.iter().position(|&byte| byte == 0).unwrap_or(tail.len())]
    }

    pub(super) fn name(&self, ty: &Type<'_>) -> &str {
        self.text(ty.name_off)
    }

    pub(super) fn text(&self, name_off: u32) -> &str {
        std::str::from_utf8(self.name_bytes(name_off)).unwrap_or("")
    }

    /// Whether the name of `ty` is `prefix` followed by `rest`; faster than comparing strings.
    fn is_named(&self, ty: &Type<'_>, prefix: &str, rest: &str) -> bool {
        let strings = &self.data()[self.strings.clone()];
        let tail = strings.get(ty.name_off as usize..).unwrap_or(&[]);
        let after = tail.strip_prefix(prefix.as_bytes()).and_then(|tail| tail.strip_prefix(rest.as_bytes()));
        after.is_some_and(|after| after.first() == Some(&0))
    }

    pub(super) fn find(&self, kind: u32, prefix: &str, rest: &str) -> Option<(u32, Type<'_>)> {
        self.walk().find(|(_, _, ty)| ty.kind() == kind && self.is_named(ty, prefix, rest)).map(|(id, _, ty)| (id, ty))
    }

    /// The id of the function `name`, as BPF_PROG_LOAD's `attach_btf_id` wants it.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.find(kind::FUNC, "", name).map(|(id, _)| id)
    }

    /// The names of all tracepoints, without their categories, which BTF does not know.
    pub fn tracepoints(&self) -> Vec<String> {
        let typedefs = self.walk().filter(|(_, _, ty)| ty.kind() == kind::TYPEDEF);
        typedefs.filter_map(|(_, _, ty)| self.name(&ty).strip_prefix(EVENT_ARGS).map(String::from)).collect()
    }

    /// Whether there is a tracepoint `name`.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.find(kind::TYPEDEF, EVENT_ARGS, name).is_some()
    }

    /// The layout of the record of the events of `class`. BTF does not tell `__data_loc` of
    /// characters from that of other elements: all are taken for characters.
    pub fn event_fields(&self, class: &str) -> Option<Vec<TracepointField>> {
        let (_, record) = self.find(kind::STRUCT, RAW_EVENT, class)?;
        let mut fields = Vec::new();
        for [name_off, type_id, offset] in record.groups::<3>() {
            match self.text(name_off) {
                "ent" => fields.extend(self.common_fields(type_id)),
                "__data" | "" => {}
                name => fields.extend(self.field(name, type_id, offset, record.flag())),
            }
        }
        Some(fields)
    }

    /// `struct trace_entry`: in tracefs its fields are called `common_*`.
    fn common_fields(&self, type_id: u32) -> Vec<TracepointField> {
        let Some(entry) = self.by_id(type_id) else { return Vec::new() };
        let field = |[name_off, type_id, offset]: [u32; 3]| {
            let name = std::str::from_utf8(self.name_bytes(name_off)).ok()?;
            let common = if name == "type" { "common_type".into() } else { format!("common_{name}") };
            self.field(&common, type_id, offset, entry.flag())
        };
        entry.groups::<3>().filter_map(field).collect()
    }

    fn field(&self, name: &str, type_id: u32, offset: u32, bit_fields: bool) -> Option<TracepointField> {
        let (bits, width) = if bit_fields { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) };
        let (name, kind) = match (name.strip_prefix("__data_loc_"), name.strip_prefix("__rel_loc_")) {
            (Some(name), _) => (name, FieldKind::DataLoc),
            (_, Some(name)) => (name, FieldKind::Opaque { bytes: 4 }),
            _ if width > 0 => (name, FieldKind::Opaque { bytes: width.div_ceil(8) }),
            _ => (name, self.field_kind(type_id)?),
        };
        Some(TracepointField { name: name.into(), offset: bits / 8, kind })
    }

    /// The type behind typedefs and qualifiers.
    pub(super) fn resolve(&self, id: u32) -> Option<Type<'_>> {
        self.resolve_with_id(id).map(|(_, ty)| ty)
    }

    /// The type behind typedefs and qualifiers, and its id.
    pub(super) fn resolve_with_id(&self, mut id: u32) -> Option<(u32, Type<'_>)> {
        for _ in 0..MAX_CHAIN {
            let ty = self.by_id(id)?;
            match ty.kind() {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => id = ty.size_or_type,
                _ => return Some((id, ty)),
            }
        }
        None
    }

    fn field_kind(&self, id: u32) -> Option<FieldKind> {
        let ty = self.resolve(id)?;
        let size = ty.size_or_type;
        let int = |signed| match size {
            1 | 2 | 4 | 8 => FieldKind::Int { bytes: size as u8, signed },
            _ => FieldKind::Opaque { bytes: size },
        };
        Some(match ty.kind() {
            kind::INT => int(ty.word(0)? >> 24 & 1 == 1),
            kind::ENUM | kind::ENUM64 => int(ty.flag()),
            kind::PTR => FieldKind::Int { bytes: size_of::<usize>() as u8, signed: false },
            kind::ARRAY => self.array_kind(ty.word(0)?, ty.word(2)?)?,
            _ => FieldKind::Opaque { bytes: size },
        })
    }

    fn array_kind(&self, element: u32, len: u32) -> Option<FieldKind> {
        let ty = self.resolve(element)?;
        if ty.kind() == kind::INT && self.name(&ty) == "char" {
            return Some(FieldKind::CharArray { len });
        }
        let bytes = match self.field_kind(element)? {
            FieldKind::Int { bytes, signed } => return Some(FieldKind::IntArray { bytes, signed, len }),
            FieldKind::IntArray { bytes, len, .. } => u32::from(bytes).saturating_mul(len),
            FieldKind::Opaque { bytes } => bytes,
            FieldKind::CharArray { len } => len,
            FieldKind::DataLoc => 4,
        };
        Some(FieldKind::Opaque { bytes: bytes.saturating_mul(len) })
    }

    /// The class of the tracepoint `event`: the event itself where it has a record of its own,
    /// else the one class of no event's own name whose caller takes just the event's arguments.
    /// `None` when that leaves more than one, or none.
    pub fn event_class(&self, event: &str) -> Option<String> {
        if self.find(kind::STRUCT, RAW_EVENT, event).is_some() {
            return Some(event.into());
        }
        let (_, args) = self.find(kind::TYPEDEF, EVENT_ARGS, event)?;
        let wanted = self.parameters(self.by_id(args.size_or_type)?.size_or_type)?;
        let mut fitting = self.walk().filter_map(|(_, _, ty)| {
            let class = (ty.kind() == kind::FUNC).then(|| self.name(&ty).strip_prefix(CLASS_CALLER)).flatten()?;
            (self.parameters(ty.size_or_type)? == wanted && !self.has_tracepoint(class)).then_some(class)
        });
        let class = fitting.next()?;
        fitting.all(|other| other == class).then(|| class.to_owned())
    }

    /// The types of a prototype's parameters.
    fn parameters(&self, proto: u32) -> Option<Vec<u32>> {
        let proto = self.by_id(proto).filter(|ty| ty.kind() == kind::FUNC_PROTO)?;
        Some(proto.groups::<2>().map(|[_, type_id]| type_id).collect())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Strings and types of a small BTF: an int, a char, arrays, a record, a function.
    pub(crate) struct Writer {
        types: Vec<u8>,
        strings: Vec<u8>,
    }

    impl Writer {
        pub fn new() -> Self {
            Self { types: Vec::new(), strings: vec![0] }
        }

        pub fn string(&mut self, text: &str) -> u32 {
            let at = self.strings.len() as u32;
            self.strings.extend(text.bytes().chain([0]));
            at
        }

        pub fn add(&mut self, name: &str, info: u32, size_or_type: u32, rest: &[u32]) {
            let name = if name.is_empty() { 0 } else { self.string(name) };
            let words = [name, info, size_or_type].into_iter().chain(rest.iter().copied());
            self.types.extend(words.flat_map(u32::to_ne_bytes));
        }

        pub fn finish(self) -> Vec<u8> {
            let header =
                [0x1_eb9f_u32, 24, 0, self.types.len() as u32, self.types.len() as u32, self.strings.len() as u32];
            header.iter().flat_map(|word| word.to_ne_bytes()).chain(self.types).chain(self.strings).collect()
        }
    }

    fn sample() -> Vec<u8> {
        let mut btf = Writer::new();
        btf.add("int", kind::INT << 24, 4, &[1 << 24 | 32]); // 1
        btf.add("char", kind::INT << 24, 1, &[8]); // 2
        btf.add("", kind::ARRAY << 24, 0, &[2, 1, 16]); // 3
        btf.add("pid_t", kind::TYPEDEF << 24, 1, &[]); // 4
        let (kind_of, pid) = (btf.string("type"), btf.string("pid"));
        btf.add("trace_entry", kind::STRUCT << 24 | 2, 8, &[kind_of, 1, 0, pid, 4, 32]); // 5
        let (ent, comm, loc, data) =
            (btf.string("ent"), btf.string("comm"), btf.string("__data_loc_msg"), btf.string("__data"));
        let members = [ent, 5, 0, comm, 3, 64, loc, 1, 192, pid, 4, 224, data, 3, 256];
        btf.add("trace_event_raw_demo", kind::STRUCT << 24 | 5, 32, &members); // 6
        btf.add("", kind::FUNC_PROTO << 24 | 1, 0, &[0, 1]); // 7
        btf.add("demo_function", kind::FUNC << 24, 7, &[]); // 8
        btf.add("", kind::PTR << 24, 7, &[]); // 9
        btf.add("btf_trace_sibling", kind::TYPEDEF << 24, 9, &[]); // 10
        btf.add("__bpf_trace_demo", kind::FUNC << 24, 7, &[]); // 11
        btf.finish()
    }

    #[test]
    fn functions_events_and_classes_are_found() {
        let btf = Btf::parse(sample()).expect("well formed");
        assert_eq!(btf.function("demo_function"), Some(8));
        assert_eq!(btf.function("demo_func"), None);
        assert_eq!(btf.tracepoints(), ["sibling"]);
        assert_eq!(btf.event_class("demo").as_deref(), Some("demo"));
        assert_eq!(btf.event_class("sibling").as_deref(), Some("demo"));
        assert_eq!(btf.event_class("stranger"), None);
    }

    #[test]
    fn a_record_has_the_fields_of_its_format_file() {
        let btf = Btf::parse(sample()).expect("well formed");
        let int = FieldKind::Int { bytes: 4, signed: true };
        let field = |name: &str, offset, kind| TracepointField { name: name.into(), offset, kind };
        let expected = [
            field("common_type", 0, int),
            field("common_pid", 4, int),
            field("comm", 8, FieldKind::CharArray { len: 16 }),
            field("msg", 24, FieldKind::DataLoc),
            field("pid", 28, int),
        ];
        assert_eq!(btf.event_fields("demo").expect("has a record"), expected);
    }

    #[test]
    fn damage_gives_no_answer_and_no_panic() {
        let good = sample();
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                ask_everything(bad);
            }
            ask_everything(good[..at].to_vec());
        }
    }

    fn ask_everything(bytes: Vec<u8>) {
        let Some(btf) = Btf::parse(bytes) else { return };
        let _ =
            (btf.function("demo_function"), btf.tracepoints(), btf.event_fields("demo"), btf.event_class("sibling"));
    }

    #[test]
    fn a_chain_of_typedefs_without_end_is_given_up() {
        let mut writer = Writer::new();
        writer.add("loop", kind::TYPEDEF << 24, 1, &[]);
        let member = writer.string("x");
        writer.add("trace_event_raw_loop", kind::STRUCT << 24 | 1, 4, &[member, 1, 0]);
        let btf = Btf::parse(writer.finish()).expect("well formed");
        assert_eq!(btf.event_fields("loop"), Some(Vec::new()));
    }
}
