//! What bpftrace has and this language has not, with what to do instead: for messages to those who
//! know it from there.

/// Names of functions, builtins and kinds of probes, in alphabetical order.
pub static ABSENT: &[(&str, &str)] = &[
    ("asyncwatchpoint", "no probe watches memory; `software:page-faults` tells of pages"),
    ("bswap", "shift the bytes: `(x & 0xff) << 8 | x >> 8 & 0xff`"),
    ("buf", "read integers, `((uint8 *)x)[0]`, or text, `str(x, 16)`"),
    ("cat", "a script reads no files: run `cat` beside it"),
    ("cgroup_path", "`cgroup` is the number, which `stat -c %i` tells of a folder in /sys/fs/cgroup"),
    ("cgroupid", "take a parameter: `stat -c %i` tells the number of a folder in /sys/fs/cgroup"),
    ("ctx", "what is in it has names: `args.FIELD`, `arg0`, `retval`"),
    ("iter", "`interval` with `for ($kv : @m)` goes through what was gathered"),
    ("join", "read the parts one by one: `str(((uint64 *)p)[0])`"),
    ("kptr", "fields of the kernel's types and `kstr()` read from the kernel"),
    ("llhist", "`hist` has steps that double, `lhist` equal ones"),
    ("macaddr", "print the bytes: `((uint8 *)x)[0]`"),
    ("ntop", "print the bytes: `((uint8 *)x)[0]`"),
    ("offsetof", "fields are read by their names: `((struct task_struct *)x).pid`"),
    ("override", "a script watches, it does not act on the system"),
    ("path", "the name is a field: `args.file.f_path.dentry.d_name.name`"),
    ("percpu_kaddr", "`kaddr` knows variables that all CPUs share"),
    ("pton", "compare with the number of the address"),
    ("reg", "arguments are `arg0` and so on, the result is `retval`"),
    ("sarg0", "arguments on the stack are not known; `fentry` knows all of a kernel function's"),
    ("signal", "a script watches, it does not act on the system"),
    ("sizeof", "the name of an integer type tells its bits"),
    ("skboutput", "a script reports no packets"),
    ("socket_cookie", "a script knows no sockets"),
    ("strerror", "print the number: `-retval` is that of an error"),
    ("system", "a script starts no programs: let a shell read what it prints"),
    ("tseries", "`interval` with `print` and `clear` prints a row at a time"),
    ("uaddr", "`uprobe` finds functions; variables of programs are not known"),
    ("uptr", "`str()` reads from the process"),
    ("usdt", "`uprobe` attaches to functions of programs"),
    ("watchpoint", "no probe watches memory; `software:page-faults` tells of pages"),
];

/// What to do instead of that, if bpftrace has it.
pub fn instead_of(name: &str) -> Option<String> {
    let index = ABSENT.binary_search_by(|(absent, _)| (*absent).cmp(name)).ok()?;
    Some(format!("bpftrace's `{name}` is left out: {}", ABSENT[index].1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{builtins, functions};

    #[test]
    fn rows_are_in_order_and_of_what_is_not_there() {
        assert!(ABSENT.is_sorted());
        let is_there = |name| builtins::find(name).is_some() || functions::find(name).is_some();
        assert!(!ABSENT.iter().any(|(name, _)| is_there(name)));
    }
}
