//! The kernel's helper functions that programs call, by the numbers of `include/uapi/linux/bpf.h`.

/// A helper function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Helper {
    /// Address of a map's element, or null.
    MapLookupElem = 1,
    /// Sets or creates a map's element.
    MapUpdateElem = 2,
    /// Removes a map's element.
    MapDeleteElem = 3,
    /// CLOCK_MONOTONIC, ns.
    KtimeGetNs = 5,
    /// A pseudo-random number.
    GetPrandomU32 = 7,
    /// The number of the present CPU.
    GetSmpProcessorId = 8,
    /// `tgid << 32 | pid`
    GetCurrentPidTgid = 14,
    /// `gid << 32 | uid`
    GetCurrentUidGid = 15,
    /// The name of the current task.
    GetCurrentComm = 16,
    /// Writes a record into a perf buffer.
    PerfEventOutput = 25,
    /// Takes the stack into a stack trace map; its key there, or a negative number.
    GetStackid = 27,
    /// Address of the current `task_struct`.
    GetCurrentTask = 35,
    /// The NUMA node of the present CPU.
    GetNumaNodeId = 42,
    /// The cgroup v2 id of the current task.
    GetCurrentCgroupId = 80,
    /// Reads user memory.
    ProbeReadUser = 112,
    /// Reads kernel memory.
    ProbeReadKernel = 113,
    /// Reads a string from user memory.
    ProbeReadUserStr = 114,
    /// Reads a string from kernel memory.
    ProbeReadKernelStr = 115,
    /// CLOCK_BOOTTIME, ns.
    KtimeGetBootNs = 125,
}

/// What is to be known of a helper.
#[derive(Clone, Copy, Debug)]
pub struct HelperInfo {
    /// The kernel's name for it, without `bpf_`.
    pub name: &'static str,
    /// A call may go when nobody wants its value.
    pub is_removable: bool,
    /// All calls with equal arguments give the same value in one run of a program.
    pub is_constant_in_a_run: bool,
}

impl Helper {
    /// Every helper that the compiler knows.
    pub const ALL: [Self; 18] = [
        Self::MapLookupElem,
        Self::MapUpdateElem,
        Self::MapDeleteElem,
        Self::KtimeGetNs,
        Self::GetPrandomU32,
        Self::GetSmpProcessorId,
        Self::GetCurrentPidTgid,
        Self::GetCurrentUidGid,
        Self::GetCurrentComm,
        Self::PerfEventOutput,
        Self::GetCurrentTask,
        Self::GetNumaNodeId,
        Self::GetCurrentCgroupId,
        Self::ProbeReadUser,
        Self::ProbeReadKernel,
        Self::ProbeReadUserStr,
        Self::ProbeReadKernelStr,
        Self::KtimeGetBootNs,
    ];

    /// The helper of number `id`, if the compiler knows it.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|helper| helper.id() == id)
    }

    /// Its number in the kernel's interface.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// Its row.
    pub fn info(self) -> HelperInfo {
        let row = |name, is_removable, is_constant_in_a_run| HelperInfo { name, is_removable, is_constant_in_a_run };
        match self {
            Self::MapLookupElem => row("map_lookup_elem", true, false),
            Self::MapUpdateElem => row("map_update_elem", false, false),
            Self::MapDeleteElem => row("map_delete_elem", false, false),
            Self::KtimeGetNs => row("ktime_get_ns", true, false),
            Self::GetPrandomU32 => row("get_prandom_u32", true, false),
            Self::GetSmpProcessorId => row("get_smp_processor_id", true, true),
            Self::GetCurrentPidTgid => row("get_current_pid_tgid", true, true),
            Self::GetCurrentUidGid => row("get_current_uid_gid", true, true),
            Self::GetCurrentComm => row("get_current_comm", false, false),
            Self::PerfEventOutput => row("perf_event_output", false, false),
            Self::GetStackid => row("get_stackid", true, true),
            Self::GetCurrentTask => row("get_current_task", true, true),
            Self::GetNumaNodeId => row("get_numa_node_id", true, true),
            Self::GetCurrentCgroupId => row("get_current_cgroup_id", true, true),
            Self::ProbeReadUser => row("probe_read_user", false, false),
            Self::ProbeReadKernel => row("probe_read_kernel", false, false),
            Self::ProbeReadUserStr => row("probe_read_user_str", false, false),
            Self::ProbeReadKernelStr => row("probe_read_kernel_str", false, false),
            Self::KtimeGetBootNs => row("ktime_get_boot_ns", true, false),
        }
    }
}
