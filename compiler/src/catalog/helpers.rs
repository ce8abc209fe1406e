//! The kernel's helper functions that programs call, by the numbers of `include/uapi/linux/bpf.h`.

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

/// What calls of a helper do, beside giving a value.
enum Effect {
    /// Something that others see.
    Visible,
    /// Nothing, but the next call may give another value.
    Changing,
    /// Nothing, and in one run all calls give the same value.
    Constant,
}

macro_rules! helpers {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $effect:ident;)*) => {
        /// A helper function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Helper {
            $($(#[$doc])* $variant = $id,)*
        }

        impl Helper {
            /// Every helper.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its row.
            pub fn info(self) -> HelperInfo {
                match self {
                    $(Self::$variant => info($name, Effect::$effect),)*
                }
            }
        }
    };
}

helpers! {
    /// Address of a map's element, or null.
    MapLookupElem = 1, "map_lookup_elem", Changing;
    /// Sets or creates a map's element.
    MapUpdateElem = 2, "map_update_elem", Visible;
    /// Removes a map's element.
    MapDeleteElem = 3, "map_delete_elem", Visible;
    /// CLOCK_MONOTONIC, ns.
    KtimeGetNs = 5, "ktime_get_ns", Changing;
    /// A pseudo-random number.
    GetPrandomU32 = 7, "get_prandom_u32", Changing;
    /// The number of the present CPU.
    GetSmpProcessorId = 8, "get_smp_processor_id", Constant;
    /// `tgid << 32 | pid`
    GetCurrentPidTgid = 14, "get_current_pid_tgid", Constant;
    /// `gid << 32 | uid`
    GetCurrentUidGid = 15, "get_current_uid_gid", Constant;
    /// The name of the current task.
    GetCurrentComm = 16, "get_current_comm", Visible;
    /// Writes a record into a perf buffer.
    PerfEventOutput = 25, "perf_event_output", Visible;
    /// Takes the stack into a stack trace map; its key there, or a negative number.
    GetStackid = 27, "get_stackid", Constant;
    /// Address of the current `task_struct`.
    GetCurrentTask = 35, "get_current_task", Constant;
    /// The NUMA node of the present CPU.
    GetNumaNodeId = 42, "get_numa_node_id", Constant;
    /// Copies the addresses of a stack; how many bytes of them, or a negative number.
    GetStack = 67, "get_stack", Constant;
    /// The cgroup v2 id of the current task.
    GetCurrentCgroupId = 80, "get_current_cgroup_id", Constant;
    /// Reads user memory.
    ProbeReadUser = 112, "probe_read_user", Visible;
    /// Reads kernel memory.
    ProbeReadKernel = 113, "probe_read_kernel", Visible;
    /// Reads a string from user memory.
    ProbeReadUserStr = 114, "probe_read_user_str", Visible;
    /// Reads a string from kernel memory.
    ProbeReadKernelStr = 115, "probe_read_kernel_str", Visible;
    /// Ticks since boot.
    Jiffies64 = 118, "jiffies64", Changing;
    /// CLOCK_BOOTTIME, ns.
    KtimeGetBootNs = 125, "ktime_get_boot_ns", Changing;
    /// Calls a callback for each element of a map; how many there were.
    ForEachMapElem = 164, "for_each_map_elem", Visible;
    /// Address of a CPU's own value of a map's element, or null. Since Linux 5.19.
    MapLookupPercpuElem = 195, "map_lookup_percpu_elem", Changing;
}

fn info(name: &'static str, effect: Effect) -> HelperInfo {
    HelperInfo {
        name,
        is_removable: !matches!(effect, Effect::Visible),
        is_constant_in_a_run: matches!(effect, Effect::Constant),
    }
}

impl Helper {
    /// The helper of number `id`, if the compiler knows it.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|helper| helper.id() == id)
    }

    /// Its number in the kernel's interface.
    pub fn id(self) -> u32 {
        self as u32
    }
}
