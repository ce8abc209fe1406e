//! What the runtime has to know about an object: its programs, maps, records and counters.
//!
//! This is the one truth about layouts: lowering writes by it, the runtime reads by it.

use std::collections::BTreeSet;

use pfscript_grammar::Span;

/// The description of an object.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// The programs, grouped by what they are attached to, in the script's order.
    pub targets: Vec<Target>,
    /// The script's maps in the order of their first use; [`MapRef`] indexes here.
    pub maps: Vec<MapInfo>,
    /// What a program can send to user space; [`RecordHeader::id`] indexes here.
    pub records: Vec<RecordLayout>,
    /// The counters in the object's `.bss` section.
    pub counters: Vec<Counter>,
    /// Where in `.bss` the start of tracing is to be written (`u64`, CLOCK_MONOTONIC ns), if a
    /// program asks for `elapsed`.
    pub start_time_offset: Option<u32>,
    /// Size of `.bss` in bytes; 0 when the object has none.
    pub bss_size: u32,
    /// The stack trace maps that the object has, by the depth of their stacks.
    pub stack_depths: BTreeSet<u32>,
    /// The program that sends what is staged, when programs stage records: see [`Stage`]. It is a raw
    /// tracepoint's by its type, but is attached to nothing: the reader runs it on each CPU.
    pub flush: Option<Program>,
    /// Remarks for `-v` and the dumps: where tracepoint layouts come from.
    pub notes: Vec<String>,
}

/// The object's symbol for the perf event array that all records go through; absent from the
/// object when [`Manifest::records`] is empty.
pub const EVENTS_MAP: &str = "events";
/// The object's symbol for the stack trace map (`BPF_MAP_TYPE_STACK_TRACE`) of stacks of so many
/// addresses at most. Depths have maps of their own, so that stacks which only differ further out
/// are one stack; in the object are those of [`Manifest::stack_depths`].
pub fn stacks_map(depth: u32) -> String {
    if depth == STACK_DEPTH { "stacks".into() } else { format!("stacks_{depth}") }
}
/// The object's symbol for the per-CPU array with each CPU's [`Stage`]; in the object when there is
/// a [`Manifest::flush`].
pub const STAGE_MAP: &str = "stage";
/// The most frames of a stack.
pub const STACK_DEPTH: u32 = 127;
/// The most different stacks of a map.
pub const STACKS_MAX_ENTRIES: u32 = 65536;
/// The section with the functions that programs have the kernel call.
pub const CALLBACKS_SECTION: &str = ".text";
/// The section (and map) with the counters.
pub const COUNTERS_SECTION: &str = ".bss";
/// The licence that every object declares: helpers such as `bpf_perf_event_output` are GPL only.
pub const LICENSE: &str = "GPL";

/// Index into [`Manifest::maps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapRef(pub u32);

/// Buckets of a [`MapValue::Hist`].
pub const HIST_BUCKETS: u32 = 66;

/// What one element of a probe's comma list became: exactly one of its programs is attached.
#[derive(Clone, Debug)]
pub struct Target {
    /// The alternatives of `A or B or C` in order of preference; never empty.
    pub alternatives: Vec<Program>,
    /// Where it is written.
    pub span: Span,
}

/// One eBPF program of the object.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its symbol in the object: unique, of `[A-Za-z0-9_]`; in the kernel its first 15 bytes are its name.
    pub symbol: String,
    /// Its section in the object (libbpf's convention), for example `kprobe/handle_mm_fault`.
    pub section: String,
    /// What it is attached to.
    pub attach: AttachSpec,
    /// The attach point as the script writes it in full, for example `software:page-faults:1`.
    pub probe: String,
    /// Where the attach point is written.
    pub span: Span,
    /// For each 8-byte instruction slot the place in the script that it comes from: of its own
    /// instructions, then of those of [`Program::callbacks`].
    pub inst_spans: Vec<Span>,
    /// Symbols of the functions that it has the kernel call, in the order in which a loader puts
    /// them behind it: each where its address is first taken, and behind it those that it uses.
    pub callbacks: Vec<String>,
}

/// What a program is attached to, spelled out: no defaults are left to the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachSpec {
    /// Run once before anything is attached.
    Begin,
    /// Run once after everything is detached.
    End,
    /// Entry or return of a kernel function, by kprobe.
    Kprobe {
        /// The function.
        function: String,
        /// Offset into it, in bytes.
        offset: u64,
        /// At its return.
        ret: bool,
    },
    /// Entry or exit of a kernel function, by BPF trampoline.
    Fentry {
        /// The function.
        function: String,
        /// At its exit.
        exit: bool,
    },
    /// Entry or return of a function in a program or library.
    Uprobe {
        /// The file as written: a path, or a name to be looked for in `PATH` or among the libraries.
        path: String,
        /// The function; empty when the offset alone says where.
        function: String,
        /// Bytes from the function (or from the file's start).
        offset: u64,
        /// At its return.
        ret: bool,
    },
    /// A software event of perf, on each CPU, of all processes.
    Software {
        /// `PERF_COUNT_SW_*`.
        config: u64,
        /// Sample every this many events.
        period: u64,
    },
    /// A hardware event of perf, on each CPU, of all processes.
    Hardware {
        /// `PERF_COUNT_HW_*`.
        config: u64,
        /// Sample every this many events.
        period: u64,
    },
    /// A tracepoint, with its formatted record.
    Tracepoint {
        /// Category.
        category: String,
        /// Name.
        name: String,
    },
    /// A tracepoint's raw arguments.
    RawTracepoint {
        /// Name.
        name: String,
    },
    /// A timer on one CPU.
    Interval {
        /// Nanoseconds between two runs.
        period: u64,
    },
    /// A timer on each CPU.
    Profile {
        /// Nanoseconds between two runs.
        period: u64,
    },
}

/// A type of data that crosses from the kernel to user space. Little endian, as the machine is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// An integer of 1, 2, 4 or 8 bytes.
    Int {
        /// Width in bytes.
        bytes: u8,
        /// Two's complement.
        signed: bool,
    },
    /// Text of at most this many bytes, ended by NUL when shorter.
    Str {
        /// Bytes.
        len: u32,
    },
    /// A kernel stack: an `i64`, one more than its key in the [`stacks_map`] of its depth; 0 or
    /// negative when there is none. 8 bytes.
    KernelStack(StackShape),
    /// A user stack: as a kernel stack, then the process id (`u32`) and 4 bytes of zero. 16 bytes.
    UserStack(StackShape),
    /// An address in the kernel (`u64`), shown as the function's name. 8 bytes.
    KernelSymbol,
    /// An address in a process: as a kernel symbol, then the process id (`u32`) and 4 bytes of zero.
    /// 16 bytes.
    UserSymbol,
    /// The number of a user (`u64`), shown as the user's name. 8 bytes.
    UserName,
    /// A moment (CLOCK_BOOTTIME, `u64` ns), shown by this `strftime` format. 8 bytes.
    Moment(String),
    /// Several values side by side.
    Tuple(Vec<Member>),
}

/// How much there is of a stack, and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StackShape {
    /// The most frames.
    pub depth: u32,
    /// How frames are written.
    pub notation: StackNotation,
}

/// How the frames of a stack are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StackNotation {
    /// `handle_mm_fault+12`
    #[default]
    Name,
    /// As `perf script` does: the address too.
    Perf,
    /// The address alone.
    Raw,
}

/// An element of a [`DataType::Tuple`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Bytes from the start of the tuple.
    pub offset: u32,
    /// Its type.
    pub ty: DataType,
}

/// A map of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// The name in the script, without `@`; empty for the anonymous map.
    pub name: String,
    /// Its symbol in the object, also its name in the kernel.
    pub symbol: String,
    /// How the kernel stores it.
    pub kind: MapKind,
    /// The key's parts, side by side from offset 0; empty for a map without a key (a
    /// [`MapKind::Array`] of one element, whose kernel key is a `u32` 0).
    pub key: Vec<Member>,
    /// What the script calls each part of the key, as `emit` would; empty where it has no name.
    pub key_names: Vec<String>,
    /// Bytes of the kernel's key, padding included (padding is zero).
    pub key_size: u32,
    /// What the value means.
    pub value: MapValue,
    /// Bytes of the value (of one CPU's).
    pub value_size: u32,
    /// The most entries it can hold.
    pub max_entries: u32,
    /// Where it is first used.
    pub span: Span,
}

/// How the kernel stores a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`, not preallocated.
    Hash,
    /// `BPF_MAP_TYPE_LRU_HASH`.
    LruHash,
    /// `BPF_MAP_TYPE_PERCPU_HASH`, not preallocated.
    PercpuHash,
    /// `BPF_MAP_TYPE_ARRAY`.
    Array,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`.
    PercpuArray,
}

/// The name of the map with the processes that a traced command started: no script can write it.
pub const STARTED_MAP: &str = "-c";

impl MapInfo {
    /// Whether it is the compiler's own: nobody asked to see it.
    pub fn is_internal(&self) -> bool {
        self.name == STARTED_MAP
    }
}

impl MapKind {
    /// Whether each CPU has a value of its own.
    pub fn is_percpu(self) -> bool {
        matches!(self, Self::PercpuHash | Self::PercpuArray)
    }
}

/// What the value of a map means. All but `Data` are kept per CPU and merged by the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapValue {
    /// A plain value.
    Data(DataType),
    /// `count()`: a `u64`, summed over CPUs.
    Count,
    /// `sum(x)`: an `i64` or `u64`, summed over CPUs.
    Sum {
        /// Shown as a signed number.
        signed: bool,
    },
    /// `min(x)`: `{value: 8 bytes, is_set: u64}`.
    Min {
        /// Compared and shown as a signed number.
        signed: bool,
    },
    /// `max(x)`: `{value: 8 bytes, is_set: u64}`.
    Max {
        /// Compared and shown as a signed number.
        signed: bool,
    },
    /// `avg(x)`: `{total: 8 bytes, count: u64}`, both summed over CPUs.
    Avg {
        /// Shown as a signed number.
        signed: bool,
    },
    /// `stats(x)`: as `avg`; count, average and total are shown.
    Stats {
        /// Shown as a signed number.
        signed: bool,
    },
    /// `hist(x)`: 66 `u64` buckets: negative, zero, one, [2,4), [4,8), ... [2^63, 2^64).
    Hist,
    /// `lhist(x, min, max, step)`: `u64` buckets: below `min`, the `(max-min)/step` steps
    /// (rounded up), `max` and above.
    Lhist {
        /// Lower end of the first step.
        min: i64,
        /// Upper end of the last step.
        max: i64,
        /// Width of a step.
        step: i64,
    },
}

/// The bytes every record starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// CLOCK_MONOTONIC in ns when the event happened; at offset 0, 8 bytes.
    pub timestamp: u64,
    /// Index into [`Manifest::records`]; at offset 8, 4 bytes.
    pub id: u32,
}

impl RecordHeader {
    /// Bytes of the header: the first field follows at this offset at the earliest.
    pub const SIZE: u32 = 12;
    /// Offset of the timestamp.
    pub const TIMESTAMP: u32 = 0;
    /// Offset of the record's id.
    pub const ID: u32 = 8;
}

/// Where a CPU gathers records in a burst, to send several of them by one call: the value of
/// [`STAGE_MAP`]'s only element. Records lie side by side, each as it would have been sent.
///
/// A CPU stages while its stage is armed, which only [`Manifest::flush`] changes: it is called with
/// one argument (`u64`, 1: go on staging, 0: stop), sends what is there and returns 0; or it
/// returns 1 when it could not, because a program was at the stage or the buffer was full. Whoever
/// finds the stage taken (a program that interrupted another) sends its record by itself, and what
/// the buffer does not take stays: so the stage loses nothing, and each loss is that of one record.
#[derive(Clone, Copy, Debug)]
pub struct Stage;

impl Stage {
    /// How many programs are at it (`u64`): 0 when it is free.
    pub const TAKEN: u32 = 0;
    /// Whether records are to be staged (`u64`).
    pub const ARMED: u32 = 8;
    /// Bytes staged (`u64`).
    pub const LENGTH: u32 = 16;
    /// The records.
    pub const RECORDS: u32 = 24;
    /// Room for them.
    pub const ROOM: u32 = 1024;
    /// Larger records are sent by themselves.
    pub const LARGEST_RECORD: u32 = 96;
    /// All of it.
    pub const SIZE: u32 = Self::RECORDS + Self::ROOM;
}

/// The layout and meaning of one kind of record.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordLayout {
    /// Bytes of a record, header included; a multiple of 8.
    pub size: u32,
    /// What user space does with it.
    pub action: Action,
    /// The values it carries.
    pub fields: Vec<RecordField>,
    /// The call in the script.
    pub span: Span,
}

/// A value in a record.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordField {
    /// The name given or derived (of `emit`); may be empty elsewhere.
    pub name: String,
    /// Where and what it is.
    pub place: FieldPlace,
}

/// Where a field's value is found.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldPlace {
    /// The `time` of the event: the header's timestamp, shown as local wall-clock time.
    Timestamp,
    /// At this many bytes from the record's start.
    At {
        /// Bytes from the record's start.
        offset: u32,
        /// What it is.
        ty: DataType,
    },
    /// Known when the script was compiled; not in the record.
    Constant(Constant),
}

/// A value known when the script was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// An integer.
    Int(i128),
    /// A text.
    Str(String),
}

/// What user space does when a record arrives.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Report the fields as one event.
    Emit {
        /// Set when the events of one key carry an ever growing count.
        sequence: Option<Sequence>,
    },
    /// Print the fields by a format.
    Printf(Format),
    /// Print the one field: by this format where data is text.
    PrintValue(Format),
    /// End the session; the exit code is the first field.
    Exit,
    /// Remove all entries of a map.
    Clear(MapRef),
    /// Set all values of a map to zero.
    Zero(MapRef),
    /// Print the moment of the record (local time) by a `strftime` format.
    Time(String),
    /// Say on stderr, beside the place in the script, that something is wrong.
    Complain {
        /// An error, else a warning.
        is_error: bool,
        /// How the fields make the text.
        format: Format,
    },
    /// Print an element of a map: the fields are its key, laid out as the map's, and of a map of
    /// plain values its value.
    PrintElement(MapRef),
    /// Print a map: the optional fields are `top` and `div`.
    PrintMap(MapRef),
    /// An element is taken out of a map for good: the fields are its value, the parts of its key
    /// (a tuple stands for its elements) and perhaps one called [`RETIRED_NAME`].
    Retire(MapRef),
    /// Sum up what a map has held: the fields are how many elements were retired, and the sum of
    /// their values.
    Summary(MapRef),
}

/// The field of an [`Action::Retire`] with the name of the element that was retired.
pub const RETIRED_NAME: &str = "name";

/// Says that a record's `count` is the result of an atomic addition to a map element, so that
/// among the records with equal `key` fields the true order is that of `count`, even when two
/// CPUs took their timestamps the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Indices into [`RecordLayout::fields`] that together identify the map element.
    pub key: Vec<usize>,
    /// Index of the growing value.
    pub count: usize,
}

/// A parsed `printf` format.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Format {
    /// Its pieces in order.
    pub pieces: Vec<FormatPiece>,
}

/// A piece of a [`Format`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatPiece {
    /// Text as it is.
    Literal(String),
    /// The next field, formatted.
    Conversion(Conversion),
}

/// A conversion specification as C's `printf` has it; length modifiers are accepted and have no
/// meaning, since every value knows its width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// `-`
    pub left: bool,
    /// `+`
    pub plus: bool,
    /// A space.
    pub space: bool,
    /// `#`
    pub alternate: bool,
    /// `0`
    pub zero: bool,
    /// The least number of columns.
    pub width: Option<u32>,
    /// Digits at least, or bytes of a string at most.
    pub precision: Option<u32>,
    /// How the value is shown.
    pub kind: ConversionKind,
}

/// The conversions of `printf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversionKind {
    /// `d`, `i`
    Decimal,
    /// `u`
    Unsigned,
    /// `x`
    HexLower,
    /// `X`
    HexUpper,
    /// `o`
    Octal,
    /// `c`
    Char,
    /// `s`
    Str,
    /// `p`
    Pointer,
}

/// A `u64` in `.bss` that a program adds to when something is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Bytes from the start of `.bss`.
    pub offset: u32,
    /// What it counts.
    pub what: CounterKind,
}

/// What a [`Counter`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterKind {
    /// Records that the perf buffer did not take.
    RecordsLost,
    /// Updates of a map that failed because it was full.
    MapFull(MapRef),
    /// Stacks that could not be kept: the stack trace map was full, or two fell on one place.
    StacksLost,
}
