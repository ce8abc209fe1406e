//! bpf(2): programs, BTF and links.

use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_func_info, bpf_insn, bpf_line_info, bpf_prog_info, bpf_prog_type,
};

use super::{Call, Refused, check, check_fd};

/// What the kernel is told of a program.
pub struct ProgramImage<'a> {
    /// Its name, of `[A-Za-z0-9_.]`; the kernel is told the first 15 bytes.
    pub name: &'a str,
    /// Its type.
    pub prog_type: bpf_prog_type,
    /// For tracing programs, at the entry or at the exit.
    pub expected_attach_type: Option<bpf_attach_type>,
    /// For tracing programs, the BTF id of the function; otherwise 0.
    pub attach_btf_id: u32,
    /// The relocated instructions.
    pub insns: &'a [bpf_insn],
    /// The licence.
    pub license: &'a CStr,
    /// Names and lines for what the kernel prints; absent when the kernel did not take the BTF.
    pub debug: Option<DebugInfo<'a>>,
}

/// Names and lines of a program, in terms of a loaded BTF.
pub struct DebugInfo<'a> {
    /// The loaded BTF.
    pub btf: BorrowedFd<'a>,
    /// The functions of the program.
    pub funcs: &'a [bpf_func_info],
    /// The lines of the program.
    pub lines: &'a [bpf_line_info],
}

/// Calls bpf(2) for a command that returns no descriptor.
///
/// # Safety
/// Every pointer in `attr` must be valid for what `cmd` reads and writes there.
pub(super) unsafe fn bpf(call: Call, cmd: bpf_cmd, attr: &mut bpf_attr) -> Result<libc::c_long, Refused> {
    // SAFETY: `attr` is a whole, initialised `bpf_attr`; its pointers are the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, cmd as u32, std::ptr::from_mut(attr), size_of::<bpf_attr>()) };
    check(call, result)
}

/// Calls bpf(2) for a command that returns a new descriptor.
///
/// # Safety
/// As [`bpf`]; and `cmd` returns a new file descriptor.
unsafe fn bpf_fd(call: Call, cmd: bpf_cmd, attr: &mut bpf_attr) -> Result<OwnedFd, Refused> {
    // SAFETY: the caller's promises are those of `bpf`, and that the result is a new descriptor.
    unsafe { check_fd(call, bpf(call, cmd, attr)?) }
}

/// An attribute block of zeroes, which is what the kernel wants in all fields not set.
pub(super) fn zeroed() -> bpf_attr {
    // SAFETY: `bpf_attr` is a union of plain C structures of integers: all zeroes is a value.
    unsafe { std::mem::zeroed() }
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

/// Loads BTF.
///
/// # Errors
/// The kernel's refusal.
pub fn load_btf(btf: &[u8]) -> Result<OwnedFd, Refused> {
    let mut attr = zeroed();
    // SAFETY: writing a field of the union's member that BPF_BTF_LOAD reads.
    let load = unsafe { &mut attr.__bindgen_anon_7 };
    load.btf = address(btf);
    load.btf_size = btf.len() as u32;
    // SAFETY: `btf` is valid for `btf_size` bytes; the command returns a new descriptor.
    unsafe { bpf_fd(Call::BtfLoad, bpf_cmd::BPF_BTF_LOAD, &mut attr) }
}

/// Loads a program. With a `log`, the verifier writes what it did there, ended by a NUL.
///
/// # Errors
/// The kernel's refusal.
pub fn load_program(image: &ProgramImage<'_>, log: Option<&mut [u8]>) -> Result<OwnedFd, Refused> {
    let mut attr = zeroed();
    // SAFETY: writing fields of the union's member that BPF_PROG_LOAD reads.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    let room = load.prog_name.len() - 1;
    for (to, from) in load.prog_name[..room].iter_mut().zip(image.name.bytes()) {
        *to = from as c_char;
    }
    load.prog_type = image.prog_type as u32;
    load.expected_attach_type = image.expected_attach_type.map_or(0, |attach_type| attach_type as u32);
    load.attach_btf_id = image.attach_btf_id;
    load.insns = address(image.insns);
    load.insn_cnt = image.insns.len() as u32;
    load.license = image.license.as_ptr() as u64;
    if let Some(debug) = &image.debug {
        load.prog_btf_fd = debug.btf.as_raw_fd() as u32;
        load.func_info = address(debug.funcs);
        load.func_info_cnt = debug.funcs.len() as u32;
        load.func_info_rec_size = size_of::<bpf_func_info>() as u32;
        load.line_info = address(debug.lines);
        load.line_info_cnt = debug.lines.len() as u32;
        load.line_info_rec_size = size_of::<bpf_line_info>() as u32;
    }
    if let Some(log) = log {
        load.log_level = 1;
        load.log_buf = log.as_mut_ptr() as u64;
        load.log_size = log.len() as u32;
    }
    // SAFETY: every pointer comes from a slice or a C string that outlives the call, with its own
    // length beside it; the command returns a new descriptor.
    unsafe { bpf_fd(Call::ProgLoad, bpf_cmd::BPF_PROG_LOAD, &mut attr) }
}

/// Runs a raw tracepoint program once, on this CPU, without arguments.
///
/// # Errors
/// The kernel's refusal.
pub fn test_run(program: BorrowedFd<'_>) -> Result<(), Refused> {
    let mut attr = zeroed();
    attr.test.prog_fd = program.as_raw_fd() as u32;
    // SAFETY: no pointer is set: raw tracepoint programs take neither data nor, here, a context.
    unsafe { bpf(Call::ProgTestRun, bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }.map(drop)
}

/// `BPF_F_TEST_RUN_ON_CPU` of `include/uapi/linux/bpf.h`
const RUN_ON_CPU: u32 = 1;

/// Runs a raw tracepoint program once, on `cpu`, with one argument. Gives what it returns.
///
/// # Errors
/// The kernel's refusal: ENXIO when the CPU is offline.
pub fn test_run_on(program: BorrowedFd<'_>, cpu: u32, argument: u64) -> Result<u32, Refused> {
    let context = [argument];
    let mut attr = zeroed();
    attr.test.prog_fd = program.as_raw_fd() as u32;
    attr.test.ctx_in = address(&context);
    attr.test.ctx_size_in = size_of_val(&context) as u32;
    attr.test.flags = RUN_ON_CPU;
    attr.test.cpu = cpu;
    // SAFETY: `context` is as long as `ctx_size_in` says, and only read.
    unsafe { bpf(Call::ProgTestRun, bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    // SAFETY: `test` is the member that was filled in, and the kernel has written `retval`.
    Ok(unsafe { attr.test.retval })
}

/// How many runs of a program the kernel skipped because it was running already on that processor:
/// a tracing program can be preempted, and what comes meanwhile is not run but counted
/// (`recursion_misses` of `struct bpf_prog_info`).
///
/// # Errors
/// The kernel's refusal.
pub fn skipped_runs(program: BorrowedFd<'_>) -> Result<u64, Refused> {
    // SAFETY: `bpf_prog_info` is plain numbers, for which all zeros is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attr = zeroed();
    attr.info.bpf_fd = program.as_raw_fd() as u32;
    attr.info.info_len = size_of::<bpf_prog_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    // SAFETY: `info` outlives the call and is as long as `info_len` says; it is zeroed, so it
    // names no further memory for the kernel to write to.
    unsafe { bpf(Call::ProgInfo, bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info.recursion_misses)
}

/// Attaches a raw tracepoint program to the tracepoint `name`; or, without a name, a tracing
/// program to the function it was loaded for. Closing the result detaches it.
///
/// # Errors
/// The kernel's refusal.
pub fn open_raw_tracepoint(name: Option<&CStr>, program: BorrowedFd<'_>) -> Result<OwnedFd, Refused> {
    let mut attr = zeroed();
    attr.raw_tracepoint.name = name.map_or(0, |name| name.as_ptr() as u64);
    attr.raw_tracepoint.prog_fd = program.as_raw_fd() as u32;
    // SAFETY: `name` is null or a C string; the command returns a new descriptor.
    unsafe { bpf_fd(Call::RawTracepointOpen, bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) }
}

/// Links a program to an open perf event. Closing the result detaches it.
///
/// # Errors
/// The kernel's refusal.
pub fn link_perf_event(program: BorrowedFd<'_>, event: BorrowedFd<'_>) -> Result<OwnedFd, Refused> {
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    // SAFETY: no pointer is set; the command returns a new descriptor.
    unsafe { bpf_fd(Call::LinkCreate, bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}
